// What the threads of one call share. It outlives the call: a thread that starts late still looks at `next`.
struct Crew {
  explicit Crew(int64_t items) : items(items) {}
  const int64_t items;
  std::atomic<int64_t> next{0}, done{0};
  std::atomic<bool> good{true};
  std::mutex mutex;
  std::condition_variable finished;
};

// Runs a function on a team of threads that somebody else keeps: the entry point GOMP_parallel of OpenMP runtimes.
using Team = void (*)(void (*function)(void*), void* argument, unsigned threads, unsigned flags);
std::atomic<Team> shared_team{nullptr};

// How many threads pay for so much work, where threads of our own pay from `least` on: a team is there sooner.
int64_t worthwhile(int64_t threads, int64_t work, int64_t least) {
  return work < (shared_team.load() ? least / 32 : least) ? 1 : threads;
}

// Calls work(i) for i in 0..items-1 on at most so many threads; true unless memory ran out.
//
// Where there is a team, its threads do the work: after the work before ours they stay awake for some milliseconds, and
// threads of our own would have to fight them for the processors. Elsewhere threads live for one call, and nobody waits
// for one that the system has not started before all is done.
template <typename Work>
bool parallel(int64_t items, int64_t threads, const Work& work) {
  const auto crew = std::make_shared<Crew>(items);
  const Work* shared = &work;  // valid as long as an item is left
  auto run = [crew, shared] {
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
  threads = std::min(threads, items);
  const Team team = shared_team;
  if (team && threads > 1) {
    team([](void* argument) { (*static_cast<decltype(run)*>(argument))(); }, &run, static_cast<unsigned>(threads), 0);
    return crew->good;
  }
  try {
    for (int64_t t = 1; t < threads; ++t) std::thread(run).detach();
  } catch (const std::system_error&) {  // no more threads to be had: those that run do the work
  }
  run();
  std::unique_lock<std::mutex> lock(crew->mutex);
  crew->finished.wait(lock, [&] { return crew->done == crew->items; });
  return crew->good;
}
