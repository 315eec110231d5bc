// Extents of ranges of points along level axes of their own, and how near the points are to the sides.

// The coordinates along the axes, multiplied, then added: the same bits as in numpy. Behind the range its last point repeats.
struct Turned {
  Doubles along, across, up;
  Turned(const Ranges& given, int64_t r, int64_t i) {
    constexpr int64_t WIDTH = LANES / 2;
    Doubles x, y;
    if (i + WIDTH <= given.stop[r]) {
      x = load(given.x + i), y = load(given.y + i), up = load(given.up + i);
    } else {
      for (int64_t lane = 0; lane < WIDTH; ++lane) {
        const int64_t at = i + lane < given.stop[r] ? i + lane : given.stop[r] - 1;
        x[lane] = given.x[at], y[lane] = given.y[at], up[lane] = given.up[at];
      }
    }
    x -= broadcast(given.middle_x[r]), y -= broadcast(given.middle_y[r]);
    const Doubles c = broadcast(given.cosine[r]), s = broadcast(given.sine[r]);
    along = c * x + s * y;
    across = c * y - s * x;
  }
};

static inline Doubles distance_share(Doubles along, double low, double high) {
  const double wide = high - low > 0.1 ? high - low : 0.1;
  const Doubles off = along - broadcast((high + low) / 2);
  return larger(off, -off) * broadcast(1 / (wide / 2));
}

// Of the ranges from..to-1: low and high (3, ranges) along, across and up; rim (ranges).
static void extents(const Ranges& given, int64_t ranges, int64_t from, int64_t to, double* low, double* high,
                    double* rim) {
  constexpr int64_t WIDTH = LANES / 2;
  for (int64_t r = from; r < to; ++r) {
    const int64_t start = given.start[r], stop = given.stop[r];
    const Turned first(given, r, start);
    Doubles least[3] = {first.along, first.across, first.up}, most[3] = {first.along, first.across, first.up};
    for (int64_t i = start + WIDTH; i < stop; i += WIDTH) {
      const Turned here(given, r, i);
      const Doubles local[3] = {here.along, here.across, here.up};
      for (int a = 0; a < 3; ++a) least[a] = smaller(least[a], local[a]), most[a] = larger(most[a], local[a]);
    }
    for (int a = 0; a < 3; ++a) {
      double lowest = least[a][0], highest = most[a][0];
      for (int64_t lane = 1; lane < WIDTH; ++lane) {
        lowest = least[a][lane] < lowest ? least[a][lane] : lowest;
        highest = most[a][lane] > highest ? most[a][lane] : highest;
      }
      low[a * ranges + r] = lowest, high[a * ranges + r] = highest;
    }
    Doubles total = {};
    double rest = 0;
    for (int64_t i = start; i < stop; i += WIDTH) {
      const Turned here(given, r, i);
      const Doubles share = larger(distance_share(here.along, low[r], high[r]),
                                   distance_share(here.across, low[ranges + r], high[ranges + r]));
      if (i + WIDTH <= stop) {
        total += share;
      } else {
        for (int64_t lane = 0; i + lane < stop; ++lane) rest += share[lane];
      }
    }
    for (int64_t lane = 0; lane < WIDTH; ++lane) rest += total[lane];
    rim[r] = rest / static_cast<double>(stop - start);
  }
}
