// k nearest neighbors.

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
          sorted[v] = smaller(sorted[v], larger(added, shift_up(v ? sorted[v - 1] : Doubles{}, sorted[v])));
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
static inline void offer_leaf(const Cloud& tree, int64_t leaf, const Point& at, Nearest<VECTORS>& nearest) {
  for (int64_t i = leaf * LEAF; i < (leaf + 1) * LEAF; i += LANES) {
    const Floats squared = squared_distance(tree.axis, i, at);
    const uint32_t near = at_most(squared, broadcast(nearest.worst));
    if (!near) continue;
    float values[LANES];
    store(values, squared);
    nearest.offer(tree, i, near, values);
  }
}

static inline void box_distances(const Boxes& boxes, int64_t first, const Point& at, float squared[FANOUT]) {
  for (int64_t i = 0; i < FANOUT; i += LANES) store(squared + i, squared_distance(boxes, first + i, at));
}

static inline uint32_t at_most(const float squared[FANOUT], float limit) {
  uint32_t mask = 0;
  for (int64_t i = 0; i < FANOUT; i += LANES) mask |= at_most(load(squared + i), broadcast(limit)) << i;
  return mask;
}

template <int VECTORS>
static void descend(const Cloud& tree, int level, int64_t first, const Point& at, int64_t done,
                    Nearest<VECTORS>& nearest) {
  float squared[FANOUT];
  box_distances(tree.boxes[level], first, at, squared);
  uint32_t near = at_most(squared, nearest.worst);
  while (near) {
    const int child = __builtin_ctz(near);
    near &= near - 1;
    if (squared[child] > nearest.worst) continue;
    if (level > 0)
      descend(tree, level - 1, (first + child) * FANOUT, at, done, nearest);
    else if (first + child != done)
      offer_leaf(tree, first + child, at, nearest);
  }
}

// The leaf below the nearest box of each level: a good first bound.
static int64_t likely_leaf(const Cloud& tree, const Point& at) {
  int64_t node = 0;
  for (int level = tree.levels - 1; level >= 0; --level) {
    float squared[FANOUT];
    const int64_t first = node * FANOUT;
    box_distances(tree.boxes[level], first, at, squared);
    int best = 0;
    for (int i = 1; i < FANOUT; ++i)
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
    const Point at(queries.centers + 3 * q);
    Nearest<VECTORS> nearest(scratch.keys, k);
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
