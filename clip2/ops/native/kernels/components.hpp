// Components of the graph that joins points no further apart than the mean of their radii.
//
// Two boxes are compared only when points of theirs can meet, and not at all when each is in one piece and both in the
// same. As two pieces need a single meeting to become one, most pairs of near boxes cost little, and what a smaller
// radius joined costs nothing at the next.

struct Joiner {
  Forest& forest;

  // Joins what meets below box `i` of height `h`.
  void within(int h, int64_t i) {
    uint32_t& whole = forest.branches[h].whole[i];
    if (whole != TORN) return;
    if (h == 0) {
      for (int64_t p = i * TWIG; p < forest.count && p < (i + 1) * TWIG; ++p) {
        const uint32_t met = meeting(p, i) & ~0u << (p - i * TWIG);
        for (uint32_t rest = met & (met - 1); rest; rest &= rest - 1)  // the lowest is the point itself
          forest.unite(p, i * TWIG + __builtin_ctz(rest));
      }
    } else {
      const int64_t end = last_child(h, i);
      for (int64_t child = i * FORK; child < end; ++child) within(h - 1, child);
      for (int64_t child = i * FORK; child < end; ++child)
        for (int64_t other = child + 1; other < end; ++other) between(h - 1, child, other);
    }
    look_again(h, i);
  }

 private:
  // Joins what meets between two boxes; true when one meeting was enough to make them one piece.
  bool between(int h, int64_t a, int64_t b) {
    const Branches& level = forest.branches[h];
    if (!can_meet(level, a, b)) return false;
    if (level.whole[b] == TORN) {
      const int64_t c = a;
      a = b, b = c;  // what is in one piece comes second: a point needs to meet it once only
    }
    const bool one_is_enough = level.whole[a] != TORN && level.whole[b] != TORN;
    if (one_is_enough && forest.root(level.whole[a]) == forest.root(level.whole[b])) return true;
    if (h == 0) {
      const bool once = level.whole[b] != TORN;
      for (int64_t p = a * TWIG; p < forest.count && p < (a + 1) * TWIG; ++p) {
        uint32_t met = meeting(p, b);
        if (!met) continue;
        do forest.unite(p, b * TWIG + __builtin_ctz(met));
        while (!once && (met &= met - 1));
        if (one_is_enough) return true;
      }
    } else {
      const int64_t end_a = last_child(h, a), end_b = last_child(h, b);
      for (int64_t i = a * FORK; i < end_a; ++i)
        for (int64_t j = b * FORK; j < end_b; ++j)
          if (between(h - 1, i, j) && one_is_enough) return true;
    }
    if (!one_is_enough) look_again(h, a), look_again(h, b);
    return false;
  }

  // Bit j: point `p` meets point j of twig `i`. Multiplied, then added: no order of two points rounds otherwise.
  uint32_t meeting(int64_t p, int64_t i) const {
    constexpr int WIDTH = LANES / 2;
    const Doubles x = all(forest.axis[0][p]), y = all(forest.axis[1][p]), z = all(forest.axis[2][p]);
    const Doubles radius = all(forest.radius[p]);
    uint32_t met = 0;
    for (int64_t j = 0; j < TWIG; j += WIDTH) {
      const int64_t at = i * TWIG + j;
      const Doubles dx = load(forest.axis[0] + at) - x, dy = load(forest.axis[1] + at) - y,
                    dz = load(forest.axis[2] + at) - z, reach = (load(forest.radius + at) + radius) * 0.5;
      met |= at_most(dx * dx + dy * dy + dz * dz, reach * reach) << j;
    }
    return met;
  }

  // Never false where points meet: every step rounds monotonically.
  static bool can_meet(const Branches& level, int64_t a, int64_t b) {
    double squared = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const double up = level.low[axis][a] - level.high[axis][b], down = level.low[axis][b] - level.high[axis][a];
      const double gap = up > down ? up : down;
      squared += gap > 0 ? gap * gap : 0;
    }
    const double reach = (level.radius[a] + level.radius[b]) * 0.5;
    return squared <= reach * reach;
  }

  // Whether a box has become one piece.
  void look_again(int h, int64_t i) {
    uint32_t& whole = forest.branches[h].whole[i];
    if (whole != TORN) return;
    uint32_t first = TORN;
    const int64_t begin = i * (h ? FORK : TWIG), end = h ? last_child(h, i) : last_point(i);
    for (int64_t part = begin; part < end; ++part) {
      const uint32_t member = h ? forest.branches[h - 1].whole[part] : static_cast<uint32_t>(part);
      if (member == TORN) return;
      const uint32_t root = forest.root(member);
      if (part == begin) first = root;
      if (root != first) return;
    }
    whole = first;
  }

  int64_t last_child(int h, int64_t i) const {
    const int64_t all = forest.branches[h - 1].count;
    return (i + 1) * FORK < all ? (i + 1) * FORK : all;
  }
  int64_t last_point(int64_t i) const { return (i + 1) * TWIG < forest.count ? (i + 1) * TWIG : forest.count; }
};

static void enclose_numbers(const double* low, const double* high, int64_t run, int64_t parts, int64_t boxes,
                            double* box_low, double* box_high) {
  for (int64_t box = 0; box < boxes; ++box) {
    double least = __builtin_inf(), most = -__builtin_inf();
    for (int64_t i = box * run; i < parts && i < (box + 1) * run; ++i) {
      least = low[i] < least ? low[i] : least;
      most = high[i] > most ? high[i] : most;
    }
    if (box_low) box_low[box] = least;
    box_high[box] = most;
  }
}

// Joins what meets at the radii that the points have now.
static void components(Forest& forest) {
  Branches* const level = forest.branches;
  for (int h = 0; h < forest.height; ++h) {
    const int64_t run = h ? FORK : TWIG, parts = h ? level[h - 1].count : forest.count;
    for (int a = 0; a < 3; ++a)
      enclose_numbers(h ? level[h - 1].low[a] : forest.axis[a], h ? level[h - 1].high[a] : forest.axis[a], run, parts,
                      level[h].count, level[h].low[a], level[h].high[a]);
    const double* radius = h ? level[h - 1].radius : forest.radius;
    enclose_numbers(radius, radius, run, parts, level[h].count, nullptr, level[h].radius);
  }
  if (forest.count) Joiner{forest}.within(forest.height - 1, 0);
}
