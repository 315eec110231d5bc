// Parallel loops on OpenMP threads. libgomp is loaded once per process, so torch's threads serve these loops too: threads
// of our own would compete with them, since they stay awake for some milliseconds after each of torch's loops.

// A forked child has none of its parent's threads, and libgomp waits for them forever: it works on one thread.
std::atomic<bool> forked{false};
const int watching = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Number of threads for an amount of work, in operations on a coordinate; several pay off from `least` on.
int64_t worthwhile(int64_t threads, int64_t work, int64_t least) { return work < least ? 1 : threads; }

// Calls work(i) for i in 0..items-1 on at most so many threads; true unless memory ran out.
template <typename Work>
bool parallel(int64_t items, int64_t threads, const Work& work) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> good{true};
  const auto help = [&] {
    for (int64_t i; (i = next++) < items;) try {
        work(i);
      } catch (const std::bad_alloc&) {
        good = false;
      }
  };
  threads = forked ? 1 : std::min(threads, items);
  if (threads > 1) {
#pragma omp parallel num_threads(static_cast<int>(threads))
    help();
  } else {
    help();
  }
  return good;
}
