// Connected components of the graph that joins points no further apart than the mean of their radii.
//
// Two boxes are compared only if some of their points can touch, and never if both lie in one and the same component.
// Two boxes of one component each are joined by a single edge, so most pairs of near boxes cost little, and points
// joined at a smaller radius cost nothing at the next.

struct Joiner {
  Bvh& bvh;

  // Unites the points that touch within box `i` of level `h`.
  void within(int h, int64_t i) {
    uint32_t& member = bvh.level[h].member[i];
    if (member != Bvh::MIXED) return;
    if (h == 0) {
      for (int64_t p = i * Bvh::LEAF; p < bvh.count && p < (i + 1) * Bvh::LEAF; ++p) {
        const uint32_t touched = edges(p, i) & ~0u << (p - i * Bvh::LEAF);
        for (uint32_t rest = touched & (touched - 1); rest; rest &= rest - 1)  // the lowest is the point itself
          bvh.unite(p, i * Bvh::LEAF + __builtin_ctz(rest));
      }
    } else {
      const int64_t end = last_child(h, i);
      for (int64_t child = i * Bvh::FANOUT; child < end; ++child) within(h - 1, child);
      for (int64_t child = i * Bvh::FANOUT; child < end; ++child)
        for (int64_t other = child + 1; other < end; ++other) between(h - 1, child, other);
    }
    update_member(h, i);
  }

 private:
  // Unites the points that touch between two boxes; true if one edge was enough to make them one component.
  bool between(int h, int64_t a, int64_t b) {
    const Bvh::Level& level = bvh.level[h];
    if (!can_touch(level, a, b)) return false;
    if (level.member[b] == Bvh::MIXED) {
      const int64_t c = a;
      a = b, b = c;  // a box of one component comes second: a point needs one edge to it
    }
    const bool one_edge_is_enough = level.member[a] != Bvh::MIXED && level.member[b] != Bvh::MIXED;
    if (one_edge_is_enough && bvh.root(level.member[a]) == bvh.root(level.member[b])) return true;
    if (h == 0) {
      const bool once = level.member[b] != Bvh::MIXED;
      for (int64_t p = a * Bvh::LEAF; p < bvh.count && p < (a + 1) * Bvh::LEAF; ++p) {
        uint32_t touched = edges(p, b);
        if (!touched) continue;
        do bvh.unite(p, b * Bvh::LEAF + __builtin_ctz(touched));
        while (!once && (touched &= touched - 1));
        if (one_edge_is_enough) return true;
      }
    } else {
      const int64_t end_a = last_child(h, a), end_b = last_child(h, b);
      for (int64_t i = a * Bvh::FANOUT; i < end_a; ++i)
        for (int64_t j = b * Bvh::FANOUT; j < end_b; ++j)
          if (between(h - 1, i, j) && one_edge_is_enough) return true;
    }
    if (!one_edge_is_enough) update_member(h, a), update_member(h, b);
    return false;
  }

  // Bit j: an edge from point `p` to point j of leaf `i`. Multiplied, then added: symmetric in the two points.
  uint32_t edges(int64_t p, int64_t i) const {
    constexpr int WIDTH = LANES / 2;
    const Doubles x = broadcast(bvh.axis[0][p]), y = broadcast(bvh.axis[1][p]), z = broadcast(bvh.axis[2][p]);
    const Doubles radius = broadcast(bvh.radius[p]);
    uint32_t touched = 0;
    for (int64_t j = 0; j < Bvh::LEAF; j += WIDTH) {
      const int64_t at = i * Bvh::LEAF + j;
      const Doubles dx = load(bvh.axis[0] + at) - x, dy = load(bvh.axis[1] + at) - y,
                    dz = load(bvh.axis[2] + at) - z, reach = (load(bvh.radius + at) + radius) * 0.5;
      touched |= at_most(dx * dx + dy * dy + dz * dz, reach * reach) << j;
    }
    return touched;
  }

  // Never false where points touch: every step rounds monotonically.
  static bool can_touch(const Bvh::Level& level, int64_t a, int64_t b) {
    double squared = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const double up = level.low[axis][a] - level.high[axis][b], down = level.low[axis][b] - level.high[axis][a];
      const double gap = up > down ? up : down;
      squared += gap > 0 ? gap * gap : 0;
    }
    const double reach = (level.radius[a] + level.radius[b]) * 0.5;
    return squared <= reach * reach;
  }

  // Notes a box whose points have become one component.
  void update_member(int h, int64_t i) {
    uint32_t& member = bvh.level[h].member[i];
    if (member != Bvh::MIXED) return;
    uint32_t first = Bvh::MIXED;
    const int64_t begin = i * (h ? Bvh::FANOUT : Bvh::LEAF), end = h ? last_child(h, i) : last_point(i);
    for (int64_t part = begin; part < end; ++part) {
      const uint32_t part_member = h ? bvh.level[h - 1].member[part] : static_cast<uint32_t>(part);
      if (part_member == Bvh::MIXED) return;
      const uint32_t root = bvh.root(part_member);
      if (part == begin) first = root;
      if (root != first) return;
    }
    member = first;
  }

  int64_t last_child(int h, int64_t i) const {
    const int64_t all = bvh.level[h - 1].count;
    return (i + 1) * Bvh::FANOUT < all ? (i + 1) * Bvh::FANOUT : all;
  }
  int64_t last_point(int64_t i) const { return (i + 1) * Bvh::LEAF < bvh.count ? (i + 1) * Bvh::LEAF : bvh.count; }
};

// Unites the points that touch at the radii that they have now.
static void components(Bvh& bvh) {
  Bvh::Level* const level = bvh.level;
  for (int h = 0; h < bvh.levels; ++h) {
    const int64_t run = h ? Bvh::FANOUT : Bvh::LEAF, parts = h ? level[h - 1].count : bvh.count;
    for (int a = 0; a < 3; ++a)
      enclose_runs(h ? level[h - 1].low[a] : bvh.axis[a], h ? level[h - 1].high[a] : bvh.axis[a], run, parts,
                      level[h].count, level[h].low[a], level[h].high[a]);
    const double* radius = h ? level[h - 1].radius : bvh.radius;
    enclose_runs(radius, radius, run, parts, level[h].count, level[h].radius, level[h].radius);
  }
  if (bvh.count) Joiner{bvh}.within(bvh.levels - 1, 0);
}
