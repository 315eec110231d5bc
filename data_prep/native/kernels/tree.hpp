// Order along a curve, boxes around runs of points, and distances to both.

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

// Bounds of `boxes` boxes around runs of `parts` smaller boxes or numbers; NaN enters no bound. Where both bounds are
// written to one place, the upper stays.
template <typename Number>
static void enclose_runs(const Number* low, const Number* high, int64_t run, int64_t parts, int64_t boxes,
                         Number* box_low, Number* box_high) {
  for (int64_t box = 0; box < boxes; ++box) {
    Number least = __builtin_inf(), most = -__builtin_inf();
    for (int64_t i = box * run; i < parts && i < (box + 1) * run; ++i) {
      least = low[i] < least ? low[i] : least;
      most = high[i] > most ? high[i] : most;
    }
    box_low[box] = least;
    box_high[box] = most;
  }
}

static void enclose_leaves(const float* axis, int64_t leaf, int64_t count, float* box_low, float* box_high) {
  for (int64_t box = 0; box < count; ++box) {
    Floats least = broadcast(infinity()), most = broadcast(-infinity());
    for (int64_t i = box * leaf; i < (box + 1) * leaf; i += LANES) {
      least = smaller(load(axis + i), least);
      most = larger(load(axis + i), most);
    }
    box_low[box] = -largest(-least);
    box_high[box] = largest(most);
  }
}

// The boxes of every level; those that fill up a level are NaN.
static void enclose(Cloud& cloud) {
  for (int a = 0; a < 3; ++a)
    for (int i = 0; i < cloud.levels; ++i) {
      const Boxes& boxes = cloud.boxes[i];
      if (i == 0) {
        enclose_leaves(cloud.axis[a], cloud.leaf, boxes.count, boxes.low[a], boxes.high[a]);
      } else {
        const Boxes& parts = cloud.boxes[i - 1];
        enclose_runs(parts.low[a], parts.high[a], FANOUT, round_up(parts.count, FANOUT), boxes.count, boxes.low[a],
                     boxes.high[a]);
      }
      for (int64_t box = boxes.count; box % FANOUT; ++box) boxes.low[a][box] = boxes.high[a][box] = __builtin_nanf("");
    }
}
