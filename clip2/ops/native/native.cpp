// Point operations on a CPU: the C functions that clip2/ops/native/__init__.py calls through ctypes.
//
// Nothing here knows Python or torch, so one build serves every version of both. The kernels (kernels/*.hpp) are
// compiled once per instruction set, and the best one that the processor at hand has is chosen when the library is
// loaded. Floating point is kept strict (-ffp-contract=off): distances round exactly as in the pure torch version.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define EXPORT extern "C" __attribute__((visibility("default")))
#else
#error "needs the vector extensions of GCC 12 or clang"
#endif

namespace {

constexpr int ABI = 5;  // raised with every change of a C signature; the Python side asks for its own

#include "cloud.hpp"
#include "kd_tree.hpp"
#include "thread_pool.hpp"

struct Kernels {
  const char* name;
  void (*curve)(const float* points, int64_t count, const float* low, const float* scale, int bits, uint64_t* keys);
  void (*enclose)(Cloud& cloud);
  void (*farthest)(Cloud& cloud, int64_t k, int64_t first, const float* points, int64_t* chosen);
  void (*ball)(const Cloud& plain, const Cloud* tree, const Queries& queries, float squared_radius, int64_t k,
               int64_t* index, Scratch& scratch);
  void (*knn)(const Cloud& tree, const Queries& queries, int64_t k, int64_t* index, float* squared, Scratch& scratch);
  void (*components)(Forest& forest);
  void (*sum)(const Segments& given, int64_t from, int64_t to, float* out);
  void (*max)(const Segments& given, int64_t from, int64_t to, float* out, uint8_t* seen);
  void (*softmax)(const Segments& given, int64_t from, int64_t to, const float* largest, float* total, float* out);
};

// ---- the kernels, once per instruction set --------------------------------------------------------------------------

namespace baseline {
#define LANES 4
#define NAME "baseline"
#include "kernels.hpp"
#undef NAME
#undef LANES
}  // namespace baseline

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt,lzcnt")
#endif
namespace avx2 {
#define LANES 8
#define NAME "avx2"
#include "kernels.hpp"
#undef NAME
#undef LANES
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt,lzcnt"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt,lzcnt")
#endif
namespace avx512 {
#define LANES 16
#define NAME "avx512"
#include "kernels.hpp"
#undef NAME
#undef LANES
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

// ---- choice and order -----------------------------------------------------------------------------------------------

int best_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) return 1;
#endif
  return 0;
}

std::atomic<int> level{best_level()};

const Kernels& kernels() {
#if defined(__x86_64__)
  if (level == 2) return avx512::table;
  if (level == 1) return avx2::table;
#endif
  return baseline::table;
}

// keys[i]: the low half is the index of the i-th point along a Hilbert curve, on which near points follow each other.
void order(const float* points, int64_t count, Buffer<uint64_t>& keys) {
  const int bits = count <= 1 << 14 ? 8 : 10;
  float low[3], scale[3];
  curve_range(points, count, low, scale, bits);
  keys.resize(count);
  Buffer<uint64_t> spare(count);
  kernels().curve(points, count, low, scale, bits, keys);
  sort_by_code(keys, spare, count, 3 * bits);
}

// The same for doubles, which may lie anywhere: the order is that of their floats from the lowest corner.
void order_from_corner(const double* points, int64_t count, Buffer<uint64_t>& keys) {
  double corner[3] = {};
  for (int a = 0; a < 3 && count; ++a) corner[a] = points[a];
  for (int64_t i = 0; i < 3 * count; ++i) corner[i % 3] = std::min(corner[i % 3], points[i]);
  Buffer<float> near(3 * count);
  for (int64_t i = 0; i < 3 * count; ++i) near[i] = static_cast<float>(points[i] - corner[i % 3]);
  order(near, count, keys);
}

// A cloud in the order of the curve: consecutive runs are compact.
void ordered_cloud(Cloud& cloud, const float* points, int64_t count) {
  Buffer<uint64_t> keys;
  order(points, count, keys);
  cloud.count = count;
  cloud.padded = round_up(count, 4 * LEAF);
  cloud.coordinates.resize(3 * cloud.padded);
  cloud.ids.resize(cloud.padded);
  cloud.id = cloud.ids;
  for (int a = 0; a < 3; ++a) cloud.axis[a] = cloud.coordinates.get() + a * cloud.padded;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t id = static_cast<uint32_t>(keys[i]);
    cloud.id[i] = id;
    for (int a = 0; a < 3; ++a) cloud.axis[a][i] = points[3 * static_cast<int64_t>(id) + a];
  }
  for (int64_t i = count; i < cloud.padded; ++i) {
    cloud.id[i] = 0;
    for (int a = 0; a < 3; ++a) cloud.axis[a][i] = NOT_A_NUMBER;
  }
}

// Makes room for the boxes of every level and computes them.
void enclose(Cloud& cloud) {
  int64_t total = 0, sizes[MAX_LEVELS];
  cloud.levels = 0;
  for (int64_t count = round_up(cloud.count, cloud.leaf) / cloud.leaf;; count = round_up(count, FAN) / FAN) {
    cloud.boxes[cloud.levels].count = count;
    total += sizes[cloud.levels++] = round_up(count, FAN);
    if (count <= FAN) break;
  }
  cloud.bounds.resize(6 * total);
  float* place = cloud.bounds;
  for (int i = 0; i < cloud.levels; ++i)
    for (int a = 0; a < 3; ++a) {
      cloud.boxes[i].low[a] = place;
      cloud.boxes[i].high[a] = place + sizes[i];
      place += 2 * sizes[i];
    }
  kernels().enclose(cloud);
}

int64_t real_points(const int64_t* lengths, int64_t cloud, int64_t count) {
  return lengths == nullptr ? count : lengths[cloud];
}

// Cuts all queries of a batch into parts for the threads. When there are fewer clouds than threads, a cloud is built
// once and its queries are shared out. build(cloud) -> Index; answer(index, cloud, from, to, scratch).
template <typename Index, typename Build, typename Answer>
bool answer_all(int64_t batch, int64_t queries, int64_t threads, Build build, Answer answer) {
  if (batch >= threads || threads == 1)
    return parallel(batch, threads, [&](int64_t b) {
      Index index;
      Scratch scratch;
      build(index, b);
      answer(index, b, 0, queries, scratch);
    });
  for (int64_t b = 0; b < batch; ++b) {
    Index index;
    build(index, b);
    const int64_t part = std::max<int64_t>(64, round_up(queries, 8 * threads) / (8 * threads));
    const int64_t parts = round_up(queries, part) / part;
    const bool good = parallel(parts, threads, [&](int64_t p) {
      Scratch scratch;
      answer(index, b, p * part, std::min(queries, (p + 1) * part), scratch);
    });
    if (!good) return false;
  }
  return true;
}

}  // namespace

// ---- the C interface: 0 for success, 1 when memory ran out, 2 for an index out of range -----------------------------

EXPORT int clip2_abi() { return ABI; }

EXPORT const char* clip2_instruction_set() { return kernels().name; }

// For tests: use at most this level (0 baseline, 1 AVX2, 2 AVX-512); returns the level in use.
EXPORT int clip2_limit_instruction_set(int wanted) { return level = std::min(wanted, best_level()); }

// Lets the threads of an OpenMP runtime do the work, given its GOMP_parallel; null: threads of our own. A child process
// has none of its parent's threads and goes back to its own.
EXPORT void clip2_share_threads(Team team) {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { shared_team = nullptr; }); });
  shared_team = team;
}

// points (batch, count, 3); lengths (batch) or null; first (batch) → chosen (batch, k), k <= count.
EXPORT int clip2_farthest_point_sample(const float* points, int64_t batch, int64_t count, const int64_t* lengths,
                                       const int64_t* first, int64_t k, int64_t threads, int64_t* chosen) {
  const bool good = parallel(batch, worthwhile(threads, batch * count * k, 1 << 18), [&](int64_t b) {
    const float* cloud_points = points + 3 * b * count;
    const int64_t real = real_points(lengths, b, count);
    Cloud cloud;
    // Sorting pays once many samples can skip the boxes they are far from.
    if (k > 48 && real > SPAN)
      ordered_cloud(cloud, cloud_points, real);
    else
      plain_cloud(cloud, cloud_points, real);
    cloud.leaf = SPAN;
    enclose(cloud);
    kernels().farthest(cloud, k, first[b], cloud_points, chosen + b * k);
  });
  return good ? 0 : 1;
}

// points (batch, count, 3), centers (batch, queries, 3) → index (batch, queries, k).
EXPORT int clip2_ball_query(const float* points, int64_t batch, int64_t count, const int64_t* lengths,
                            const float* centers, int64_t queries, double radius, int64_t k, int64_t threads,
                            int64_t* index) {
  struct Index {
    Cloud plain, tree;
    Buffer<uint64_t> order;
    bool grown = false;
  };
  threads = worthwhile(threads, batch * count * queries, 1 << 23);  // below, less than a millisecond
  const float squared = static_cast<float>(radius * radius);
  auto build = [&](Index& built, int64_t b) {
    const float* cloud = points + 3 * b * count;
    const int64_t real = real_points(lengths, b, count);
    plain_cloud(built.plain, cloud, real);
    built.grown = real > 2048 && queries > 192;
    if (built.grown) {
      ordered_cloud(built.tree, cloud, real);
      enclose(built.tree);
      order(centers + 3 * b * queries, queries, built.order);
    }
  };
  auto answer = [&](Index& built, int64_t b, int64_t from, int64_t to, Scratch& scratch) {
    if (built.grown) {
      const int64_t words = round_up(built.plain.count, 64) / 64, groups = round_up(words, 64) / 64;
      scratch.marks.resize(words);
      scratch.groups.resize(groups);
      std::memset(scratch.marks, 0, words * sizeof(uint64_t));
      std::memset(scratch.groups, 0, groups * sizeof(uint64_t));
    }
    kernels().ball(built.plain, built.grown ? &built.tree : nullptr,
                   {centers + 3 * b * queries, built.grown ? built.order.get() : nullptr, from, to}, squared, k,
                   index + b * queries * k, scratch);
  };
  return answer_all<Index>(batch, queries, threads, build, answer) ? 0 : 1;
}

// → index (batch, queries, k) and squared distances; entries past a cloud's real points are index 0 at infinity.
EXPORT int clip2_knn(const float* points, int64_t batch, int64_t count, const int64_t* lengths, const float* centers,
                     int64_t queries, int64_t k, int64_t threads, int64_t* index, float* squared) {
  struct Index {
    Cloud tree;
    Buffer<uint64_t> order;
  };
  threads = worthwhile(threads, batch * queries * std::min<int64_t>(count, 256), 1 << 18);
  const bool in_order = queries > 512 && count > 4096;
  auto build = [&](Index& built, int64_t b) {
    const int64_t real = real_points(lengths, b, count);
    if (real > 8 * LEAF && queries > 16)
      ordered_cloud(built.tree, points + 3 * b * count, real);
    else
      plain_cloud(built.tree, points + 3 * b * count, real);
    enclose(built.tree);
    if (in_order) order(centers + 3 * b * queries, queries, built.order);
  };
  auto answer = [&](Index& built, int64_t b, int64_t from, int64_t to, Scratch& scratch) {
    scratch.nearest.resize(2 * k + 16);  // rounded up to whole vectors
    kernels().knn(built.tree, {centers + 3 * b * queries, in_order ? built.order.get() : nullptr, from, to}, k,
                  index + b * queries * k, squared + b * queries * k, scratch);
  };
  return answer_all<Index>(batch, queries, threads, build, answer) ? 0 : 1;
}

// points (count, 3), finite; radii (levels, count), positive, no level below the one before → labels (levels, count),
// numbered by the first point of each component.
EXPORT int clip2_radius_components(const double* points, int64_t count, const double* radii, int64_t levels,
                                   int64_t* labels) try {
  Forest forest(count);
  Buffer<uint64_t> along;
  order_from_corner(points, count, along);
  Buffer<uint32_t> place(count), number(count);  // of each point along the curve; of each root
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t id = static_cast<uint32_t>(along[i]);
    place[id] = static_cast<uint32_t>(i);
    for (int a = 0; a < 3; ++a) forest.axis[a][i] = points[3 * static_cast<int64_t>(id) + a];
  }
  for (int64_t level = 0; level < levels; ++level, radii += count, labels += count) {
    for (int64_t i = 0; i < count; ++i) forest.radius[place[i]] = radii[i];
    kernels().components(forest);
    std::fill(number.get(), number.get() + count, TORN);
    uint32_t found = 0;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t& here = number[forest.root(place[i])];
      if (here == TORN) here = found++;
      labels[i] = here;
    }
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}

namespace {

bool in_range(const int64_t* index, int64_t rows, int64_t segments) {
  bool good = true;
  for (int64_t i = 0; i < rows; ++i) good &= static_cast<uint64_t>(index[i]) < static_cast<uint64_t>(segments);
  return good;
}

constexpr int64_t STRETCHES = 2;  // more would have more sums to clear and to add up than they save

template <typename Reduce>
bool over_segments(const Segments& given, int64_t segments, int64_t threads, Reduce reduce) {
  const int64_t parts = std::min(worthwhile(threads, given.rows * given.channels, 1 << 17), segments);
  return parallel(parts, parts, [&](int64_t p) { reduce(given, segments * p / parts, segments * (p + 1) / parts); });
}

// Sums into out (segments, channels), and the number of rows of each segment into counts unless it is null.
int sum_segments(const Segments& all, int64_t segments, int64_t threads, float* out, uint32_t* counts) try {
  const int64_t size = segments * all.channels;
  if (all.rows * all.channels < 1 << 17 || all.rows < 2 * STRETCHES * segments) {
    if (!in_range(all.index, all.rows, segments)) return 2;
    std::memset(out, 0, size * sizeof(float));
    if (counts) std::memset(counts, 0, segments * sizeof(uint32_t));
    for (int64_t r = 0; counts && r < all.rows; ++r) ++counts[all.index[r]];
    const auto reduce = [&](const Segments& given, int64_t from, int64_t to) { kernels().sum(given, from, to, out); };
    return over_segments(all, segments, threads, reduce) ? 0 : 1;
  }
  // Few segments: stretches of the rows, each with sums of its own, so that memory is read from front to back. As many
  // stretches with one thread as with more, for the same rounding.
  Buffer<float> sums((STRETCHES - 1) * size);
  Buffer<uint32_t> numbers((STRETCHES - 1) * segments);
  const auto sums_of = [&](int64_t s) { return s == 0 ? out : sums.get() + (s - 1) * size; };
  const auto counts_of = [&](int64_t s) { return s == 0 ? counts : numbers.get() + (s - 1) * segments; };
  std::atomic<bool> inside{true};
  const bool good = parallel(STRETCHES, threads, [&](int64_t s) {
    const int64_t from = all.rows * s / STRETCHES, to = all.rows * (s + 1) / STRETCHES;
    if (!in_range(all.index + from, to - from, segments)) {
      inside = false;
      return;
    }
    std::memset(sums_of(s), 0, size * sizeof(float));
    if (counts) std::memset(counts_of(s), 0, segments * sizeof(uint32_t));
    for (int64_t r = from; counts && r < to; ++r) ++counts_of(s)[all.index[r]];
    kernels().sum({all.values + from * all.channels, all.index + from, to - from, all.channels}, 0, ALL, sums_of(s));
  });
  if (!inside) return 2;
  for (int64_t s = 1; s < STRETCHES; ++s)
    for (int64_t i = 0; counts && i < segments; ++i) counts[i] += counts_of(s)[i];
  const int64_t part = round_up(size, 16 * STRETCHES) / STRETCHES;
  const auto add_up = [&](int64_t p) {
    for (int64_t s = 1; s < STRETCHES; ++s) {
      const float* more = sums_of(s);
      for (int64_t i = p * part; i < std::min(size, (p + 1) * part); ++i) out[i] += more[i];
    }
  };
  return good && parallel(STRETCHES, threads, add_up) ? 0 : 1;
} catch (const std::bad_alloc&) {
  return 1;
}

}  // namespace

// values (rows, channels), index (rows) in 0..segments-1 → out (segments, channels).
EXPORT int clip2_segment_sum(const float* values, const int64_t* index, int64_t rows, int64_t channels,
                             int64_t segments, int64_t threads, float* out) {
  return sum_segments({values, index, rows, channels}, segments, threads, out, nullptr);
}

EXPORT int clip2_segment_mean(const float* values, const int64_t* index, int64_t rows, int64_t channels,
                              int64_t segments, int64_t threads, float* out) try {
  Buffer<uint32_t> counts(segments);
  const int status = sum_segments({values, index, rows, channels}, segments, threads, out, counts);
  for (int64_t s = 0; s < segments && status == 0; ++s) {
    const float count = static_cast<float>(std::max<uint32_t>(1, counts[s]));
    for (int64_t c = s * channels; c < (s + 1) * channels; ++c) out[c] /= count;
  }
  return status;
} catch (const std::bad_alloc&) {
  return 1;
}

EXPORT int clip2_segment_max(const float* values, const int64_t* index, int64_t rows, int64_t channels,
                             int64_t segments, int64_t threads, float* out) try {
  if (!in_range(index, rows, segments)) return 2;
  Buffer<uint8_t> seen(segments);
  std::memset(seen, 0, segments);
  std::memset(out, 0, segments * channels * sizeof(float));
  const auto reduce = [&](const Segments& given, int64_t from, int64_t to) {
    kernels().max(given, from, to, out, seen);
  };
  return over_segments({values, index, rows, channels}, segments, threads, reduce) ? 0 : 1;
} catch (const std::bad_alloc&) {
  return 1;
}

// → out (rows, channels).
EXPORT int clip2_segment_softmax(const float* values, const int64_t* index, int64_t rows, int64_t channels,
                                 int64_t segments, int64_t threads, float* out) try {
  if (!in_range(index, rows, segments)) return 2;
  Buffer<uint8_t> seen(segments);
  Buffer<float> largest(segments * channels), total(segments * channels);
  std::memset(seen, 0, segments);
  std::memset(total, 0, segments * channels * sizeof(float));
  const auto reduce = [&](const Segments& given, int64_t from, int64_t to) {
    kernels().max(given, from, to, largest, seen);
    kernels().softmax(given, from, to, largest, total, out);
  };
  return over_segments({values, index, rows, channels}, segments, threads, reduce) ? 0 : 1;
} catch (const std::bad_alloc&) {
  return 1;
}
