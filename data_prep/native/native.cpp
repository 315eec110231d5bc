// Point operations on a CPU: the C functions that data_prep.native calls through ctypes.
//
// Nothing here knows Python or torch, so one build serves every version of both. The kernels (kernels/*.hpp) are
// compiled once per instruction set, and the best one for the processor is chosen when the library is loaded. Floating
// point is kept strict (-ffp-contract=off): distances round exactly as in the pure torch version.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
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

constexpr int ABI = 6;  // raised with every change of a C signature; the Python side asks for its own
enum Status { OK = 0, OUT_OF_MEMORY = 1, INDEX_OUT_OF_RANGE = 2 };  // of every operation

#include "cloud.hpp"
#include "bvh.hpp"
#include "parallel.hpp"
#include "dispatch.hpp"
#include "hilbert_tree.hpp"

// Runs the body of an operation: true for success, false when memory ran out.
template <typename Body>
Status guarded(const Body& body) try {
  return body();
} catch (const std::bad_alloc&) {
  return OUT_OF_MEMORY;
}

// Some clouds as the caller gives them.
struct Batch {
  const float* points;  // (size, count, 3)
  int64_t size, count;
  const int64_t* lengths;  // (size) real points of each, or null: all
  const float* cloud(int64_t b) const { return points + 3 * b * count; }
  int64_t real(int64_t b) const { return lengths == nullptr ? count : lengths[b]; }
};

// Answers the queries of a batch in parallel. If there are fewer clouds than threads, the index of a cloud is built once
// and the threads share its queries. build(cloud) -> Index; answer(index, cloud, from, to, scratch).
template <typename Index, typename Build, typename Answer>
Status answer_all(int64_t batch, int64_t queries, int64_t threads, Build build, Answer answer) {
  if (batch >= threads || threads == 1) {
    const bool good = parallel(batch, threads, [&](int64_t b) {
      Index index;
      Scratch scratch;
      build(index, b);
      answer(index, b, 0, queries, scratch);
    });
    return good ? OK : OUT_OF_MEMORY;
  }
  for (int64_t b = 0; b < batch; ++b) {
    Index index;
    build(index, b);
    const int64_t part = std::max<int64_t>(64, round_up(queries, 8 * threads) / (8 * threads));
    const bool good = parallel(round_up(queries, part) / part, threads, [&](int64_t p) {
      Scratch scratch;
      answer(index, b, p * part, std::min(queries, (p + 1) * part), scratch);
    });
    if (!good) return OUT_OF_MEMORY;
  }
  return OK;
}

bool in_range(const int64_t* index, int64_t rows, int64_t segments) {
  bool good = true;
  for (int64_t i = 0; i < rows; ++i) good &= static_cast<uint64_t>(index[i]) < static_cast<uint64_t>(segments);
  return good;
}

// Calls reduce(given, from, to) for ranges of segments in parallel.
template <typename Reduce>
Status over_segments(const Segments& given, int64_t segments, int64_t threads, const Reduce& reduce) {
  const int64_t parts = std::min(worthwhile(threads, given.rows * given.channels, 1 << 12), segments);
  const auto part = [&](int64_t p) { reduce(given, segments * p / parts, segments * (p + 1) / parts); };
  return parallel(parts, parts, part) ? OK : OUT_OF_MEMORY;
}

// Sums into out (segments, channels), and the number of rows of each segment into counts unless it is null.
Status sum_segments(const Segments& all, int64_t segments, int64_t threads, float* out, uint32_t* counts) {
  constexpr int64_t STRETCHES = 2;  // more would have more sums to clear and to add up than they save
  const int64_t size = segments * all.channels;
  if (all.rows * all.channels < 1 << 17 || all.rows < 2 * STRETCHES * segments) {
    if (!in_range(all.index, all.rows, segments)) return INDEX_OUT_OF_RANGE;
    std::memset(out, 0, size * sizeof(float));
    if (counts) std::memset(counts, 0, segments * sizeof(uint32_t));
    for (int64_t r = 0; counts && r < all.rows; ++r) ++counts[all.index[r]];
    return over_segments(all, segments, threads, [&](const Segments& given, int64_t from, int64_t to) {
      kernels().sum(given, from, to, out);
    });
  }
  // Few segments: stretches of the rows, each with its own sums, so that memory is read from front to back. As many
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
  if (!inside) return INDEX_OUT_OF_RANGE;
  for (int64_t s = 1; s < STRETCHES; ++s)
    for (int64_t i = 0; counts && i < segments; ++i) counts[i] += counts_of(s)[i];
  const int64_t part = round_up(size, 16 * STRETCHES) / STRETCHES;
  const auto add_up = [&](int64_t p) {
    for (int64_t s = 1; s < STRETCHES; ++s) {
      const float* more = sums_of(s);
      for (int64_t i = p * part; i < std::min(size, (p + 1) * part); ++i) out[i] += more[i];
    }
  };
  return good && parallel(STRETCHES, threads, add_up) ? OK : OUT_OF_MEMORY;
}

}  // namespace

// ---- the C interface ------------------------------------------------------------------------------------------------

EXPORT int clip2_abi() { return ABI; }

EXPORT const char* clip2_instruction_set() { return kernels().name; }

// For tests: use at most this level (0 baseline, 1 AVX2, 2 AVX-512); returns the level in use.
EXPORT int clip2_limit_instruction_set(int wanted) { return level = std::min(wanted, best_level()); }

// points (batch, count, 3); lengths (batch) or null; first (batch) → chosen (batch, k), k <= count.
EXPORT int clip2_farthest_point_sample(const float* points, int64_t batch, int64_t count, const int64_t* lengths,
                                       const int64_t* first, int64_t k, int64_t threads, int64_t* chosen) {
  const Batch clouds{points, batch, count, lengths};
  return guarded([&] {
    const bool good = parallel(batch, worthwhile(threads, batch * count * k, 1 << 13), [&](int64_t b) {
      Cloud cloud;
      // Sorting pays once many samples can skip the boxes they are far from.
      fill(cloud, clouds.cloud(b), clouds.real(b), k > 48 && clouds.real(b) > SAMPLING_LEAF);
      cloud.leaf = SAMPLING_LEAF;
      enclose(cloud);
      kernels().farthest(cloud, k, first[b], clouds.cloud(b), chosen + b * k);
    });
    return good ? OK : OUT_OF_MEMORY;
  });
}

// points (batch, count, 3), centers (batch, queries, 3) → index (batch, queries, k).
EXPORT int clip2_ball_query(const float* points, int64_t batch, int64_t count, const int64_t* lengths,
                            const float* centers, int64_t queries, double radius, int64_t k, int64_t threads,
                            int64_t* index) {
  struct Index {
    Cloud plain, tree;
    Buffer<uint64_t> order;
    bool has_tree = false;
  };
  const Batch clouds{points, batch, count, lengths};
  const float squared = static_cast<float>(radius * radius);
  const auto build = [&](Index& built, int64_t b) {
    fill(built.plain, clouds.cloud(b), clouds.real(b), false);
    built.has_tree = clouds.real(b) > 2048 && queries > 192;
    if (built.has_tree) {
      fill(built.tree, clouds.cloud(b), clouds.real(b), true);
      enclose(built.tree);
      order(centers + 3 * b * queries, queries, built.order);
    }
  };
  const auto answer = [&](Index& built, int64_t b, int64_t from, int64_t to, Scratch& scratch) {
    if (built.has_tree) {
      const int64_t words = round_up(built.plain.count, 64) / 64, groups = round_up(words, 64) / 64;
      scratch.marks.resize(words);
      scratch.groups.resize(groups);
      std::memset(scratch.marks, 0, words * sizeof(uint64_t));
      std::memset(scratch.groups, 0, groups * sizeof(uint64_t));
    }
    kernels().ball(built.plain, built.has_tree ? &built.tree : nullptr,
                   {centers + 3 * b * queries, built.has_tree ? built.order.get() : nullptr, from, to}, squared, k,
                   index + b * queries * k, scratch);
  };
  threads = worthwhile(threads, batch * count * queries, 1 << 18);
  return guarded([&] { return answer_all<Index>(batch, queries, threads, build, answer); });
}

// → index (batch, queries, k) and squared distances; entries past a cloud's real points are index 0 at infinity.
EXPORT int clip2_knn(const float* points, int64_t batch, int64_t count, const int64_t* lengths, const float* centers,
                     int64_t queries, int64_t k, int64_t threads, int64_t* index, float* squared) {
  struct Index {
    Cloud tree;
    Buffer<uint64_t> order;
  };
  const Batch clouds{points, batch, count, lengths};
  const bool in_order = queries > 512 && count > 4096;
  const auto build = [&](Index& built, int64_t b) {
    fill(built.tree, clouds.cloud(b), clouds.real(b), clouds.real(b) > 8 * LEAF && queries > 16);
    enclose(built.tree);
    if (in_order) order(centers + 3 * b * queries, queries, built.order);
  };
  const auto answer = [&](Index& built, int64_t b, int64_t from, int64_t to, Scratch& scratch) {
    scratch.keys.resize(2 * k + 16);  // rounded up to whole vectors
    kernels().knn(built.tree, {centers + 3 * b * queries, in_order ? built.order.get() : nullptr, from, to}, k,
                  index + b * queries * k, squared + b * queries * k, scratch);
  };
  threads = worthwhile(threads, batch * queries * std::min<int64_t>(count, 256), 1 << 13);
  return guarded([&] { return answer_all<Index>(batch, queries, threads, build, answer); });
}

// points (count, 3), finite; radii (levels, count), positive, no level below the one before → labels (levels, count),
// numbered by the first point of each component.
EXPORT int clip2_radius_components(const double* points, int64_t count, const double* radii, int64_t levels,
                                   int64_t* labels) {
  return guarded([&] {
    Bvh bvh(count);
    Buffer<uint64_t> along;
    order_from_corner(points, count, along);
    Buffer<uint32_t> place(count), number(count);  // of each point along the curve; of each root
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t id = static_cast<uint32_t>(along[i]);
      place[id] = static_cast<uint32_t>(i);
      for (int a = 0; a < 3; ++a) bvh.axis[a][i] = points[3 * static_cast<int64_t>(id) + a];
    }
    for (int64_t at = 0; at < levels * count; at += count) {
      for (int64_t i = 0; i < count; ++i) bvh.radius[place[i]] = radii[at + i];
      kernels().components(bvh);
      std::fill(number.get(), number.get() + count, Bvh::MIXED);
      uint32_t found = 0;
      for (int64_t i = 0; i < count; ++i) {
        uint32_t& here = number[bvh.root(place[i])];
        if (here == Bvh::MIXED) here = found++;
        labels[at + i] = here;
      }
    }
    return OK;
  });
}

// images (count, rows, columns), taps (reach + 1) from the middle out → out, the images filtered along both axes.
EXPORT int clip2_blur(const double* images, int64_t count, int64_t rows, int64_t columns, const double* taps,
                      int64_t reach, int64_t threads, double* out) {
  constexpr int64_t WIDEST_BLOCK = 32;
  const int64_t wide = round_up(columns, WIDEST_BLOCK), scratch = (rows + 2 * reach + 1) * wide + 2 * reach;
  return guarded([&] {
    const bool good = parallel(count, threads, [&](int64_t i) {
      Buffer<double> zeros(scratch);
      std::memset(zeros.get(), 0, scratch * sizeof(double));
      kernels().blur(images + i * rows * columns, rows, columns, taps, reach, zeros, out + i * rows * columns);
    });
    return good ? OK : OUT_OF_MEMORY;
  });
}

// columns x, y, up (3, points); start and stop (ranges), none empty; axes (4, ranges): middle x and y, cosine, sine →
// low and high (3, ranges) along the axes and up, and rim (ranges), the mean distance from the middle of the sides in shares
// of the way to the nearest.
EXPORT int clip2_extents(const double* columns, int64_t points, const int64_t* start, const int64_t* stop,
                         const double* axes, int64_t ranges, int64_t threads, double* low, double* high, double* rim) {
  const Ranges given{columns,      columns + points, columns + 2 * points, start, stop, axes, axes + ranges,
                     axes + 2 * ranges, axes + 3 * ranges};
  return guarded([&] {
    const int64_t parts = std::min<int64_t>(ranges, 32);
    const bool good = parallel(parts, worthwhile(threads, points, 1 << 16), [&](int64_t part) {
      kernels().extents(given, ranges, ranges * part / parts, ranges * (part + 1) / parts, low, high, rim);
    });
    return good ? OK : OUT_OF_MEMORY;
  });
}

// keys (count) → number (count), which of the distinct keys each is, counted as they first occur; first (distinct), where;
// both arrays have room for `count`.
EXPORT int clip2_number_keys(const int64_t* keys, int64_t count, int64_t* number, int64_t* first, int64_t* distinct) {
  return guarded([&] {
    constexpr uint32_t EMPTY = 0xffffffffu;
    int bits = 4;
    while ((int64_t{1} << bits) < 2 * count) ++bits;
    Buffer<uint32_t> table(int64_t{1} << bits);
    std::fill(table.get(), table.get() + (int64_t{1} << bits), EMPTY);
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    int64_t found = 0;
    for (int64_t i = 0; i < count; ++i) {
      uint64_t slot = static_cast<uint64_t>(keys[i]) * 0x9E3779B97F4A7C15u >> (64 - bits);
      while (table[slot] != EMPTY && keys[first[table[slot]]] != keys[i]) slot = (slot + 1) & mask;
      if (table[slot] == EMPTY) {
        first[found] = i;
        table[slot] = static_cast<uint32_t>(found++);
      }
      number[i] = table[slot];
    }
    *distinct = found;
    return OK;
  });
}

// values (rows, channels), index (rows) in 0..segments-1 → out (segments, channels), of softmax (rows, channels).
#define SEGMENT_OPERATION(name)                                                                                     \
  EXPORT int clip2_segment_##name(const float* values, const int64_t* index, int64_t rows, int64_t channels,       \
                                  int64_t segments, int64_t threads, float* out) {                                  \
    return guarded([&] { return segment_##name({values, index, rows, channels}, segments, threads, out); });        \
  }

static Status segment_sum(const Segments& given, int64_t segments, int64_t threads, float* out) {
  return sum_segments(given, segments, threads, out, nullptr);
}

static Status segment_mean(const Segments& given, int64_t segments, int64_t threads, float* out) {
  Buffer<uint32_t> counts(segments);
  const Status status = sum_segments(given, segments, threads, out, counts);
  for (int64_t s = 0; s < segments && status == OK; ++s) {
    const float count = static_cast<float>(std::max<uint32_t>(1, counts[s]));
    for (int64_t c = s * given.channels; c < (s + 1) * given.channels; ++c) out[c] /= count;
  }
  return status;
}

static Status segment_max(const Segments& given, int64_t segments, int64_t threads, float* out) {
  if (!in_range(given.index, given.rows, segments)) return INDEX_OUT_OF_RANGE;
  Buffer<uint8_t> seen(segments);
  std::memset(seen, 0, segments);
  std::memset(out, 0, segments * given.channels * sizeof(float));
  return over_segments(given, segments, threads, [&](const Segments& some, int64_t from, int64_t to) {
    kernels().max(some, from, to, out, seen);
  });
}

static Status segment_softmax(const Segments& given, int64_t segments, int64_t threads, float* out) {
  if (!in_range(given.index, given.rows, segments)) return INDEX_OUT_OF_RANGE;
  Buffer<uint8_t> seen(segments);
  Buffer<float> largest(segments * given.channels), total(segments * given.channels);
  std::memset(seen, 0, segments);
  std::memset(total, 0, segments * given.channels * sizeof(float));
  return over_segments(given, segments, threads, [&](const Segments& some, int64_t from, int64_t to) {
    kernels().max(some, from, to, largest, seen);
    kernels().softmax(some, from, to, largest, total, out);
  });
}

SEGMENT_OPERATION(sum)
SEGMENT_OPERATION(mean)
SEGMENT_OPERATION(max)
SEGMENT_OPERATION(softmax)
