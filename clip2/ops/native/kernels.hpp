// Inner loops, included by native.cpp once per instruction set with LANES floats per vector. No include guard, and
// nothing from the standard library in here: an inline function of it compiled for a newer processor could be the copy
// that the linker keeps for all.

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float LooseLanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Integers __attribute__((vector_size(4 * LANES)));

typedef double Doubles __attribute__((vector_size(4 * LANES)));
typedef double LooseDoubles __attribute__((vector_size(4 * LANES), aligned(8), may_alias));

static inline Doubles load_doubles(const uint64_t* from) { return *reinterpret_cast<const LooseDoubles*>(from); }
static inline void store_doubles(uint64_t* to, Doubles value) { *reinterpret_cast<LooseDoubles*>(to) = value; }
static inline Lanes load(const float* from) { return *reinterpret_cast<const LooseLanes*>(from); }
static inline void store(float* to, Lanes value) { *reinterpret_cast<LooseLanes*>(to) = value; }
static inline Lanes all(float value) { return value - Lanes{}; }

// Of a NaN and a number these keep the second argument.
#if LANES == 16
static inline Lanes smaller(Lanes a, Lanes b) { return (Lanes)_mm512_min_ps((__m512)a, (__m512)b); }
static inline Lanes larger(Lanes a, Lanes b) { return (Lanes)_mm512_max_ps((__m512)a, (__m512)b); }
static inline Doubles smaller(Doubles a, Doubles b) { return (Doubles)_mm512_min_pd((__m512d)a, (__m512d)b); }
static inline Doubles larger(Doubles a, Doubles b) { return (Doubles)_mm512_max_pd((__m512d)a, (__m512d)b); }
static inline uint32_t at_most(Lanes a, Lanes b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OQ); }
static inline uint32_t below(Lanes a, Lanes b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
static inline uint32_t equal(Lanes a, Lanes b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ); }
static inline float largest(Lanes a) { return _mm512_reduce_max_ps((__m512)a); }
#elif LANES == 8
static inline Lanes smaller(Lanes a, Lanes b) { return (Lanes)_mm256_min_ps((__m256)a, (__m256)b); }
static inline Lanes larger(Lanes a, Lanes b) { return (Lanes)_mm256_max_ps((__m256)a, (__m256)b); }
static inline Doubles smaller(Doubles a, Doubles b) { return (Doubles)_mm256_min_pd((__m256d)a, (__m256d)b); }
static inline Doubles larger(Doubles a, Doubles b) { return (Doubles)_mm256_max_pd((__m256d)a, (__m256d)b); }
static inline uint32_t bits_of(__m256 mask) { return static_cast<uint32_t>(_mm256_movemask_ps(mask)); }
static inline uint32_t at_most(Lanes a, Lanes b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LE_OQ)); }
static inline uint32_t below(Lanes a, Lanes b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ)); }
static inline uint32_t equal(Lanes a, Lanes b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_EQ_OQ)); }
static inline float largest(Lanes a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
#else
static inline Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
static inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }
static inline Doubles smaller(Doubles a, Doubles b) { return a < b ? a : b; }
static inline Doubles larger(Doubles a, Doubles b) { return a > b ? a : b; }
template <typename Mask>
static inline uint32_t bits_of(Mask mask) {
  uint32_t bits = 0;
  for (int i = 0; i < LANES; ++i) bits |= (mask[i] != 0 ? 1u : 0u) << i;
  return bits;
}
static inline uint32_t at_most(Lanes a, Lanes b) { return bits_of(a <= b); }
static inline uint32_t below(Lanes a, Lanes b) { return bits_of(a < b); }
static inline uint32_t equal(Lanes a, Lanes b) { return bits_of(a == b); }
static inline float largest(Lanes a) {
  float result = a[0];
  for (int i = 1; i < LANES; ++i) result = a[i] > result ? a[i] : result;
  return result;
}
#endif

// The lanes moved up by one; the last of `lower` comes in at the bottom.
static inline Doubles one_up(Doubles lower, Doubles upper) {
#if LANES == 16
  return __builtin_shufflevector(lower, upper, 7, 8, 9, 10, 11, 12, 13, 14);
#elif LANES == 8
  return __builtin_shufflevector(lower, upper, 3, 4, 5, 6);
#else
  return __builtin_shufflevector(lower, upper, 1, 2);
#endif
}

static inline float infinity() { return __builtin_inff(); }

struct Place {
  Lanes x, y, z;
  explicit Place(const float* at) : x(all(at[0])), y(all(at[1])), z(all(at[2])) {}
};

// Multiplied, then added, in this order everywhere: the same rounding as the torch version.
static inline Lanes squared_distance(const float* const axis[3], int64_t i, const Place& at) {
  const Lanes x = load(axis[0] + i) - at.x, y = load(axis[1] + i) - at.y, z = load(axis[2] + i) - at.z;
  return x * x + y * y + z * z;
}

// Never more than the rounded squared distance of a point inside: subtraction, square and sum round monotonically.
static inline Lanes squared_distance(const Boxes& boxes, int64_t i, const Place& at) {
  const Lanes zero = {};
  const Lanes x = larger(zero, larger(load(boxes.low[0] + i) - at.x, at.x - load(boxes.high[0] + i)));
  const Lanes y = larger(zero, larger(load(boxes.low[1] + i) - at.y, at.y - load(boxes.high[1] + i)));
  const Lanes z = larger(zero, larger(load(boxes.low[2] + i) - at.z, at.z - load(boxes.high[2] + i)));
  return x * x + y * y + z * z;
}

// ---- order and boxes ------------------------------------------------------------------------------------------------

static inline Integers spread_bits(Integers x) {  // 10 bits, two zeros between them
  x = (x | x << 16) & 0x030000ffu;
  x = (x | x << 8) & 0x0300f00fu;
  x = (x | x << 4) & 0x030c30c3u;
  return (x | x << 2) & 0x09249249u;
}

// keys[i] = Hilbert code << 32 | i (Skilling, Programming the Hilbert curve, AIP 2004), LANES points at a time.
static void curve(const float* points, int64_t count, const float* low, const float* scale, int bits, uint64_t* keys) {
  const float top = static_cast<float>((1 << bits) - 1);
  for (int64_t start = 0; start < count; start += LANES) {
    const int64_t here = count - start < LANES ? count - start : LANES;
    Integers cell[3] = {};
    for (int64_t i = 0; i < here; ++i)
      for (int a = 0; a < 3; ++a) {
        float value = (points[3 * (start + i) + a] - low[a]) * scale[a];
        value = value > 0.0f ? value : 0.0f;  // NaN too
        cell[a][i] = static_cast<uint32_t>(value < top ? value : top);
      }
    for (int bit = bits - 1; bit > 0; --bit) {
      const uint32_t lower = (1u << bit) - 1;
      for (int a = 0; a < 3; ++a) {
        const Integers set = 0u - (cell[a] >> bit & 1u);
        const Integers swap = (cell[0] ^ cell[a]) & lower & ~set;
        cell[0] ^= swap ^ (set & lower);
        if (a) cell[a] ^= swap;
      }
    }
    cell[1] ^= cell[0];
    cell[2] ^= cell[1];
    Integers flip = {};
    for (int bit = bits - 1; bit > 0; --bit) flip ^= (0u - (cell[2] >> bit & 1u)) & ((1u << bit) - 1);
    const Integers code = spread_bits(cell[0] ^ flip) << 2 | spread_bits(cell[1] ^ flip) << 1 |
                          spread_bits(cell[2] ^ flip);
    for (int64_t i = 0; i < here; ++i) keys[start + i] = static_cast<uint64_t>(code[i]) << 32 | (start + i);
  }
}

static void enclose_runs(const float* low, const float* high, int64_t run, int64_t count, float* box_low,
                         float* box_high) {
  for (int64_t box = 0; box < count; ++box) {
    float least = infinity(), most = -infinity();  // NaN enters neither
    for (int64_t i = box * run; i < (box + 1) * run; ++i) {
      least = low[i] < least ? low[i] : least;
      most = high[i] > most ? high[i] : most;
    }
    box_low[box] = least;
    box_high[box] = most;
  }
  for (int64_t box = count; box % FAN; ++box) box_low[box] = box_high[box] = __builtin_nanf("");
}

static void enclose_leaves(const float* axis, int64_t leaf, int64_t count, float* box_low, float* box_high) {
  for (int64_t box = 0; box < count; ++box) {
    Lanes least = all(infinity()), most = all(-infinity());
    for (int64_t i = box * leaf; i < (box + 1) * leaf; i += LANES) {
      least = smaller(load(axis + i), least);
      most = larger(load(axis + i), most);
    }
    box_low[box] = -largest(-least);
    box_high[box] = largest(most);
  }
  for (int64_t box = count; box % FAN; ++box) box_low[box] = box_high[box] = __builtin_nanf("");
}

static void enclose(Cloud& cloud) {
  for (int a = 0; a < 3; ++a) {
    enclose_leaves(cloud.axis[a], cloud.leaf, cloud.boxes[0].count, cloud.boxes[0].low[a], cloud.boxes[0].high[a]);
    for (int i = 1; i < cloud.levels; ++i)
      enclose_runs(cloud.boxes[i - 1].low[a], cloud.boxes[i - 1].high[a], FAN, cloud.boxes[i].count,
                   cloud.boxes[i].low[a], cloud.boxes[i].high[a]);
  }
}

// ---- farthest-point sampling ----------------------------------------------------------------------------------------

// Greedy and exact. A leaf is looked at only when the latest sample is nearer to its box than the leaf's farthest
// point is to all samples before it.
static void farthest(Cloud& cloud, int64_t k, int64_t first, const float* points, int64_t* chosen) {
  const Boxes& boxes = cloud.boxes[0];
  const int64_t padded = round_up(boxes.count, FAN);
  Buffer<float> nearest_buffer(cloud.padded), most_buffer(padded);
  float* const nearest = nearest_buffer;  // of each point to the samples
  float* const most = most_buffer;        // the largest of each leaf
  for (int64_t i = 0; i < cloud.padded; ++i) nearest[i] = i < cloud.count ? infinity() : -1.0f;
  for (int64_t i = 0; i < padded; ++i) most[i] = i < boxes.count ? infinity() : -1.0f;
  chosen[0] = first;
  for (int64_t step = 1; step < k; ++step) {
    const Place at(points + 3 * chosen[step - 1]);
    for (int64_t box = 0; box < boxes.count; box += LANES) {
      uint32_t reached = below(squared_distance(boxes, box, at), load(most + box));
      while (reached) {
        const int64_t leaf = box + __builtin_ctz(reached);
        reached &= reached - 1;
        Lanes farthest_yet = all(-1.0f);
        for (int64_t i = leaf * SPAN; i < (leaf + 1) * SPAN; i += LANES) {
          const Lanes now = smaller(squared_distance(cloud.axis, i, at), load(nearest + i));
          store(nearest + i, now);
          farthest_yet = larger(farthest_yet, now);
        }
        most[leaf] = largest(farthest_yet);
      }
    }
    Lanes top_lanes = load(most);
    for (int64_t box = LANES; box < padded; box += LANES) top_lanes = larger(top_lanes, load(most + box));
    const float top = largest(top_lanes);
    if (top == 0.0f) {  // every point coincides with a sample
      for (; step < k; ++step) chosen[step] = 0;
      return;
    }
    int64_t winner = cloud.count;  // of equally far points the lowest index
    for (int64_t box = 0; box < padded; box += LANES) {
      uint32_t best = equal(load(most + box), all(top));
      while (best) {
        const int64_t leaf = box + __builtin_ctz(best);
        best &= best - 1;
        for (int64_t i = leaf * SPAN; i < (leaf + 1) * SPAN; i += LANES) {
          uint32_t here = equal(load(nearest + i), all(top));
          while (here) {
            const int64_t place = i + __builtin_ctz(here);
            const int64_t index = cloud.id ? cloud.id[place] : place;
            winner = index < winner ? index : winner;
            here &= here - 1;
          }
        }
      }
    }
    chosen[step] = winner < cloud.count ? winner : 0;  // NaN coordinates alone can leave none
  }
}

// ---- k nearest neighbours -------------------------------------------------------------------------------------------

// The k smallest keys: bits of the squared distance << 32 | index. Non-negative floats order like their bits, so keys
// order by distance, then index. Few keys are kept sorted in VECTORS registers; many (VECTORS = 0) are kept as a heap.
template <int VECTORS>
struct Nearest {
  static constexpr int64_t WIDTH = LANES / 2;
  // Keys are compared as doubles, whose minimum and maximum every vector unit knows. This keeps them off the tiny
  // numbers that a processor may be told to flush to zero; infinite distances are still below infinity there.
  static constexpr uint64_t BIAS = 1ull << 52;
  uint64_t* keys;
  int64_t k;
  float worst;

  // `room` holds k keys and LANES more.
  Nearest(uint64_t* room, int64_t k) : keys(room), k(k), worst(infinity()) {
    const uint64_t none = 0x7f800000ffffffffull + BIAS;  // infinitely far, behind every index
    for (int64_t i = 0; i < (VECTORS ? VECTORS * WIDTH : k); ++i) keys[i] = none;
  }

  // Offers the points i + lane of the lanes in `near`.
  void offer(const Cloud& tree, int64_t i, uint32_t near, const float* squared) {
    if (VECTORS == 0) {
      for (; near; near &= near - 1) {
        const uint64_t one = key(tree, i, __builtin_ctz(near), squared);
        if (one < keys[0]) sink(one, 0, k);
      }
    } else {
      Doubles sorted[VECTORS ? VECTORS : 1];
      for (int v = 0; v < VECTORS; ++v) sorted[v] = load_doubles(keys + v * WIDTH);
      for (; near; near &= near - 1) {
        const uint64_t one = key(tree, i, __builtin_ctz(near), squared);
        double value;
        __builtin_memcpy(&value, &one, 8);
        const Doubles added = value - Doubles{};
        // Every key above the new one moves up a place, without a branch; one above all changes nothing.
        for (int v = VECTORS - 1; v >= 0; --v)
          sorted[v] = smaller(sorted[v], larger(added, one_up(v ? sorted[v - 1] : Doubles{}, sorted[v])));
      }
      for (int v = 0; v < VECTORS; ++v) store_doubles(keys + v * WIDTH, sorted[v]);
    }
    const uint32_t bits = static_cast<uint32_t>((keys[VECTORS ? k - 1 : 0] - BIAS) >> 32);
    __builtin_memcpy(&worst, &bits, 4);
  }

  void sort() {
    if (VECTORS) return;
    for (int64_t end = k - 1; end > 0; --end) {
      const uint64_t last = keys[end];
      keys[end] = keys[0];
      sink(last, 0, end);
    }
  }

  uint64_t operator[](int64_t i) const { return keys[i] - BIAS; }

 private:
  static uint64_t key(const Cloud& tree, int64_t i, int lane, const float* squared) {
    uint32_t bits;
    __builtin_memcpy(&bits, squared + lane, 4);
    return (static_cast<uint64_t>(bits) << 32 | (tree.id ? tree.id[i + lane] : static_cast<uint32_t>(i + lane))) + BIAS;
  }

  void sink(uint64_t one, int64_t place, int64_t size) {  // the largest key lies at 0
    for (int64_t child; (child = 2 * place + 1) < size; place = child) {
      if (child + 1 < size && keys[child + 1] > keys[child]) ++child;
      if (keys[child] <= one) break;
      keys[place] = keys[child];
    }
    keys[place] = one;
  }
};

template <int VECTORS>
static inline void offer_leaf(const Cloud& tree, int64_t leaf, const Place& at, Nearest<VECTORS>& nearest) {
  for (int64_t i = leaf * LEAF; i < (leaf + 1) * LEAF; i += LANES) {
    const Lanes squared = squared_distance(tree.axis, i, at);
    const uint32_t near = at_most(squared, all(nearest.worst));
    if (!near) continue;
    float values[LANES];
    store(values, squared);
    nearest.offer(tree, i, near, values);
  }
}

static inline void box_distances(const Boxes& boxes, int64_t first, const Place& at, float squared[FAN]) {
  for (int64_t i = 0; i < FAN; i += LANES) store(squared + i, squared_distance(boxes, first + i, at));
}

static inline uint32_t at_most(const float squared[FAN], float limit) {
  uint32_t mask = 0;
  for (int64_t i = 0; i < FAN; i += LANES) mask |= at_most(load(squared + i), all(limit)) << i;
  return mask;
}

template <int VECTORS>
static void descend(const Cloud& tree, int level, int64_t first, const Place& at, int64_t done,
                    Nearest<VECTORS>& nearest) {
  float squared[FAN];
  box_distances(tree.boxes[level], first, at, squared);
  uint32_t near = at_most(squared, nearest.worst);
  while (near) {
    const int child = __builtin_ctz(near);
    near &= near - 1;
    if (squared[child] > nearest.worst) continue;
    if (level > 0)
      descend(tree, level - 1, (first + child) * FAN, at, done, nearest);
    else if (first + child != done)
      offer_leaf(tree, first + child, at, nearest);
  }
}

// The leaf below the nearest box of each level: a good first bound.
static int64_t likely_leaf(const Cloud& tree, const Place& at) {
  int64_t node = 0;
  for (int level = tree.levels - 1; level >= 0; --level) {
    float squared[FAN];
    const int64_t first = node * FAN;
    box_distances(tree.boxes[level], first, at, squared);
    int best = 0;
    for (int i = 1; i < FAN; ++i)
      if (squared[i] < squared[best]) best = i;
    node = first + best;
  }
  return node;
}

template <int VECTORS>
static void find_nearest(const Cloud& tree, const Queries& queries, int64_t k, int64_t* index, float* squared,
                         Scratch& scratch) {
  for (int64_t i = queries.from; i < queries.to; ++i) {
    const int64_t q = queries.row(i);
    const Place at(queries.centers + 3 * q);
    Nearest<VECTORS> nearest(scratch.nearest, k);
    int64_t done = -1;
    if (tree.levels > 1) {
      done = likely_leaf(tree, at);
      offer_leaf(tree, done, at, nearest);
    }
    descend(tree, tree.levels - 1, 0, at, done, nearest);
    nearest.sort();
    for (int64_t j = 0; j < k; ++j) {
      const uint64_t key = nearest[j];
      const uint32_t bits = static_cast<uint32_t>(key >> 32), id = static_cast<uint32_t>(key);
      index[q * k + j] = id == 0xffffffffu ? 0 : id;
      __builtin_memcpy(squared + q * k + j, &bits, 4);
    }
  }
}

static void knn(const Cloud& tree, const Queries& queries, int64_t k, int64_t* index, float* squared,
                Scratch& scratch) {
  const int64_t vectors = (k + LANES / 2 - 1) / (LANES / 2);
  const auto find = vectors <= 1   ? find_nearest<1>
                    : vectors <= 2 ? find_nearest<2>
                    : vectors <= 4 ? find_nearest<4>
                    : vectors <= 8 ? find_nearest<8>
                                   : find_nearest<0>;
  find(tree, queries, k, index, squared, scratch);
}

// ---- ball query -----------------------------------------------------------------------------------------------------

// The first hits in index order by looking at one point after the other, until k are found.
static int64_t scan_ball(const Cloud& plain, const Place& at, float squared_radius, int64_t k, int64_t* row) {
  constexpr int STRIDE = 4;
  const Lanes limit = all(squared_radius);
  int64_t found = 0;
  for (int64_t start = 0; start < plain.count; start += STRIDE * LANES) {
    uint64_t hits = 0;
    for (int part = 0; part < STRIDE; ++part)
      hits |= static_cast<uint64_t>(at_most(squared_distance(plain.axis, start + part * LANES, at), limit))
              << part * LANES;
    while (hits) {
      row[found++] = start + __builtin_ctzll(hits);
      if (found == k) return k;
      hits &= hits - 1;
    }
  }
  return found;
}

// Marks the hits in the leaves below some boxes; false when there are more than `limit`.
static bool mark_ball(const Cloud& tree, int level, int64_t first, const Place& at, float squared_radius,
                      Scratch& scratch, int64_t limit, int64_t& found) {
  float squared[FAN];
  box_distances(tree.boxes[level], first, at, squared);
  uint32_t near = at_most(squared, squared_radius);
  for (; near; near &= near - 1) {
    const int64_t child = first + __builtin_ctz(near);
    if (level > 0) {
      if (!mark_ball(tree, level - 1, child * FAN, at, squared_radius, scratch, limit, found)) return false;
      continue;
    }
    for (int64_t i = child * LEAF; i < (child + 1) * LEAF; i += LANES) {
      uint32_t hits = at_most(squared_distance(tree.axis, i, at), all(squared_radius));
      for (; hits; hits &= hits - 1) {
        const uint32_t id = tree.id[i + __builtin_ctz(hits)];
        scratch.marks[id >> 6] |= 1ull << (id & 63);
        scratch.groups[id >> 12] |= 1ull << (id >> 6 & 63);
        ++found;
      }
    }
    if (found > limit) return false;
  }
  return true;
}

// Reads the first k marks and wipes all of them.
static int64_t take_marks(const Cloud& tree, int64_t k, int64_t* row, Scratch& scratch) {
  uint64_t *marks = scratch.marks, *groups = scratch.groups;
  const int64_t count = (tree.count + 4095) / 4096;
  int64_t found = 0;
  for (int64_t group = 0; group < count; ++group) {
    for (uint64_t words = groups[group]; words; words &= words - 1) {
      const int64_t word = group * 64 + __builtin_ctzll(words);
      for (uint64_t hits = marks[word]; hits && found < k; hits &= hits - 1)
        row[found++] = word * 64 + __builtin_ctzll(hits);
      marks[word] = 0;
    }
    groups[group] = 0;
  }
  return found;
}

static int64_t nearest_point(const Cloud& cloud, const Place& at) {
  int64_t best = 0;
  float least = infinity();
  for (int64_t i = 0; i < cloud.count; i += LANES) {
    const Lanes squared = squared_distance(cloud.axis, i, at);
    uint32_t closer = below(squared, all(least));
    for (; closer; closer &= closer - 1) {
      const int lane = __builtin_ctz(closer);
      if (squared[lane] < least) {
        least = squared[lane];
        best = i + lane;
      }
    }
  }
  return best;
}

static void ball(const Cloud& plain, const Cloud* tree, const Queries& queries, float squared_radius, int64_t k,
                 int64_t* index, Scratch& scratch) {
  // Beyond sqrt(k N) hits a plain scan meets its k-th hit after fewer points than the ball holds.
  const int64_t limit = 64 + static_cast<int64_t>(__builtin_sqrt(static_cast<double>(k) * plain.count));
  for (int64_t i = queries.from; i < queries.to; ++i) {
    const int64_t q = queries.row(i);
    const Place at(queries.centers + 3 * q);
    int64_t* row = index + q * k;
    int64_t found = 0;
    bool complete = false;
    if (tree) {
      int64_t hits = 0;
      complete = mark_ball(*tree, tree->levels - 1, 0, at, squared_radius, scratch, limit, hits);
      found = take_marks(*tree, k, row, scratch);
    }
    if (!complete) found = scan_ball(plain, at, squared_radius, k, row);
    if (found == 0) row[found++] = nearest_point(plain, at);
    for (; found < k; ++found) row[found] = row[0];
  }
}

// ---- segments -------------------------------------------------------------------------------------------------------

static void sum(const float* values, const int64_t* index, int64_t rows, int64_t channels, int64_t from, int64_t to,
                float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* value = values + r * channels;
    float* total = out + index[r] * channels;
    int64_t c = from;
    for (; c + LANES <= to; c += LANES) store(total + c, load(total + c) + load(value + c));
    for (; c < to; ++c) total[c] += value[c];
  }
}

static inline float larger(float a, float b) { return a > b || a != a ? a : b; }

// NaN wins, as in torch.
static void max(const float* values, const int64_t* index, int64_t rows, int64_t channels, int64_t from, int64_t to,
                float* out, uint8_t* seen) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* value = values + r * channels;
    float* best = out + index[r] * channels;
    if (!seen[index[r]]) {
      seen[index[r]] = 1;
      for (int64_t c = from; c < to; ++c) best[c] = value[c];
      continue;
    }
    for (int64_t c = from; c < to; ++c) best[c] = larger(value[c], best[c]);
  }
}
