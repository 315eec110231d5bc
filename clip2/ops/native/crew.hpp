// What the threads of one call share. It outlives the call: a thread that starts late still looks at `next`.
struct Crew {
  explicit Crew(int64_t items) : items(items) {}
  const int64_t items;
  std::atomic<int64_t> next{0}, done{0};
  std::atomic<bool> good{true};
  std::mutex mutex;
  std::condition_variable finished;
};

// Calls work(i) for i in 0..items-1 on at most so many threads; true unless memory ran out. Threads live for one call:
// a pool would not survive the fork of a data loader's workers. Nobody waits for a helper that the system has not
// started before all is done, so on a busy machine a call takes no longer than it would alone.
template <typename Work>
bool parallel(int64_t items, int64_t threads, const Work& work) {
  const auto crew = std::make_shared<Crew>(items);
  const Work* shared = &work;  // valid as long as an item is left
  const auto run = [crew, shared] {
    int64_t mine = 0;
    for (int64_t i; (i = crew->next++) < crew->items; ++mine) try {
        (*shared)(i);
      } catch (const std::bad_alloc&) {
        crew->good = false;
      }
    if (mine && (crew->done += mine) == crew->items) {
      const std::lock_guard<std::mutex> lock(crew->mutex);
      crew->finished.notify_all();
    }
  };
  try {
    for (int64_t t = 1; t < std::min(threads, items); ++t) std::thread(run).detach();
  } catch (const std::system_error&) {  // no more threads to be had: those that run do the work
  }
  run();
  std::unique_lock<std::mutex> lock(crew->mutex);
  crew->finished.wait(lock, [&] { return crew->done == crew->items; });
  return crew->good;
}
