// Ball query.

// The first hits in index order: scans the points until k are found.
static int64_t scan_ball(const Cloud& plain, const Point& at, float squared_radius, int64_t k, int64_t* row) {
  constexpr int STRIDE = 4;
  const Floats limit = broadcast(squared_radius);
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
static bool mark_ball(const Cloud& tree, int level, int64_t first, const Point& at, float squared_radius,
                      Scratch& scratch, int64_t limit, int64_t& found) {
  float squared[FANOUT];
  box_distances(tree.boxes[level], first, at, squared);
  uint32_t near = at_most(squared, squared_radius);
  for (; near; near &= near - 1) {
    const int64_t child = first + __builtin_ctz(near);
    if (level > 0) {
      if (!mark_ball(tree, level - 1, child * FANOUT, at, squared_radius, scratch, limit, found)) return false;
      continue;
    }
    for (int64_t i = child * LEAF; i < (child + 1) * LEAF; i += LANES) {
      uint32_t hits = at_most(squared_distance(tree.axis, i, at), broadcast(squared_radius));
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

static int64_t nearest_point(const Cloud& cloud, const Point& at) {
  int64_t best = 0;
  float least = infinity();
  for (int64_t i = 0; i < cloud.count; i += LANES) {
    const Floats squared = squared_distance(cloud.axis, i, at);
    uint32_t closer = less_than(squared, broadcast(least));
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
    const Point at(queries.centers + 3 * q);
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
