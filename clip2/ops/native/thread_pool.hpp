// Persistent worker threads for parallel loops, the library's own: it depends on no OpenMP runtime.

// One parallel loop. It outlives the call: a worker that comes late still looks at `next`.
struct Loop {
  const int64_t items;
  void (*const call)(const void* work, int64_t item);
  const void* const work;  // valid as long as an item is left
  int64_t helpers;         // workers that may still join in; guarded by the pool's mutex
  std::atomic<int64_t> next{0}, done{0};
  std::atomic<bool> good{true};
  std::mutex mutex;
  std::condition_variable finished;

  Loop(int64_t items, void (*call)(const void*, int64_t), const void* work, int64_t helpers)
      : items(items), call(call), work(work), helpers(helpers) {}

  void help() {
    int64_t mine = 0;
    for (int64_t i; (i = next++) < items; ++mine) try {
        call(work, i);
      } catch (const std::bad_alloc&) {
        good = false;
      }
    if (mine && (done += mine) == items) {
      const std::lock_guard<std::mutex> lock(mutex);
      finished.notify_all();
    }
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex);
    finished.wait(lock, [&] { return done == items; });
  }
};

class ThreadPool {
 public:
  // The pool of this process. It is never destroyed: workers may still wait in it when the process ends. A forked child
  // has none of its parent's threads, so it starts with a new pool.
  static ThreadPool& of_this_process() {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { current = nullptr; }); });
    ThreadPool* pool = current;
    if (pool == nullptr) {
      ThreadPool* const fresh = new ThreadPool;
      if (current.compare_exchange_strong(pool, fresh)) return *fresh;
      delete fresh;  // another thread was faster
    }
    return *pool;
  }

  // Runs the loop on this thread and on its helpers.
  void run(const std::shared_ptr<Loop>& loop) {
    int64_t helpers;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      try {
        for (; workers_ < loop->helpers; ++workers_) std::thread(&ThreadPool::work, this).detach();
      } catch (const std::system_error&) {  // the system gives no more threads: those that run do the work
      }
      helpers = loop->helpers = std::min(loop->helpers, workers_);
      if (helpers) waiting_.push_back(loop);
    }
    for (int64_t i = 0; i < helpers; ++i) ready_.notify_one();
    loop->help();
    loop->wait();
  }

 private:
  void work() {
    for (;;) {
      std::shared_ptr<Loop> loop;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        ready_.wait(lock, [&] { return !waiting_.empty(); });
        loop = waiting_.front();
        if (--loop->helpers == 0) waiting_.pop_front();
      }
      loop->help();
    }
  }

  static std::atomic<ThreadPool*> current;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::shared_ptr<Loop>> waiting_;
  int64_t workers_ = 0;
};

std::atomic<ThreadPool*> ThreadPool::current{nullptr};

// How many threads pay for so much work, in operations on a coordinate, where several pay from `least` on.
int64_t worthwhile(int64_t threads, int64_t work, int64_t least) { return work < least ? 1 : threads; }

// Calls work(i) for i in 0..items-1 on at most so many threads; true unless memory ran out.
template <typename Work>
bool parallel(int64_t items, int64_t threads, const Work& work) {
  const auto call = [](const void* given, int64_t item) { (*static_cast<const Work*>(given))(item); };
  const auto loop = std::make_shared<Loop>(items, call, &work, std::min(threads, items) - 1);
  if (loop->helpers > 0)
    ThreadPool::of_this_process().run(loop);
  else
    loop->help();
  return loop->good;
}
