// The kernels, compiled once per instruction set, and the choice of the best one that this processor has.

// Buffers that one thread reuses from query to query.
struct Scratch {
  Buffer<uint64_t> keys;           // kNN: the best keys so far
  Buffer<uint64_t> marks, groups;  // ball query: a bit per point, and a bit per word of `marks`
};

// Some of the centers of a cloud, in the caller's order, or along a curve so that the data of one is still in cache
// for the next.
struct Queries {
  const float* centers;
  const uint64_t* order;  // null, or the low halves are rows of centers
  int64_t from, to;
  int64_t row(int64_t i) const { return order == nullptr ? i : static_cast<int64_t>(static_cast<uint32_t>(order[i])); }
};

constexpr int64_t ALL = std::numeric_limits<int64_t>::max();  // one past the last of all segments

// Rows of values, each of a segment.
struct Segments {
  const float* values;   // (rows, channels)
  const int64_t* index;  // (rows)
  int64_t rows, channels;
};

// Ranges of points, each with axes of its own, turned about z.
struct Ranges {
  const double *x, *y, *up;                            // (points)
  const int64_t *start, *stop;                         // (ranges), none empty
  const double *middle_x, *middle_y, *cosine, *sine;  // (ranges)
};

struct Kernels {
  const char* name;
  void (*curve)(const float* points, int64_t count, const float* low, const float* scale, int bits, uint64_t* keys);
  void (*enclose)(Cloud& cloud);
  void (*farthest)(Cloud& cloud, int64_t k, int64_t first, const float* points, int64_t* chosen);
  void (*ball)(const Cloud& plain, const Cloud* tree, const Queries& queries, float squared_radius, int64_t k,
               int64_t* index, Scratch& scratch);
  void (*knn)(const Cloud& tree, const Queries& queries, int64_t k, int64_t* index, float* squared, Scratch& scratch);
  void (*components)(Bvh& bvh);
  void (*blur)(const double* image, int64_t rows, int64_t columns, const double* taps, int64_t reach, double* scratch,
               double* out);
  void (*extents)(const Ranges& given, int64_t ranges, int64_t from, int64_t to, double* low, double* high,
                  double* rim);
  void (*sum)(const Segments& given, int64_t from, int64_t to, float* out);
  void (*max)(const Segments& given, int64_t from, int64_t to, float* out, uint8_t* seen);
  void (*softmax)(const Segments& given, int64_t from, int64_t to, const float* largest, float* total, float* out);
};

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
