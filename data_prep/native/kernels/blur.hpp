// Separable symmetric filter of an image of doubles, with zeros outside of it. Sums go from the far taps to the near ones,
// as in scipy.ndimage: the same bits.

static constexpr int64_t BLUR_BLOCK = 4 * (LANES / 2);

static inline void store(double* to, Doubles value) { *reinterpret_cast<UnalignedDoubles*>(to) = value; }

// BLUR_BLOCK outputs; the inputs of neighboring taps are `step` numbers apart.
static inline void filter_block(const double* middle, int64_t step, const double* taps, int64_t reach, double* to) {
  constexpr int64_t WIDTH = LANES / 2;
  Doubles total[4];
  for (int i = 0; i < 4; ++i) total[i] = load(middle + i * WIDTH) * broadcast(taps[0]);
  for (int64_t tap = reach; tap > 0; --tap) {
    const Doubles weight = broadcast(taps[tap]);
    const double *before = middle - tap * step, *after = middle + tap * step;
    for (int i = 0; i < 4; ++i) total[i] += (load(before + i * WIDTH) + load(after + i * WIDTH)) * weight;
  }
  for (int i = 0; i < 4; ++i) store(to + i * WIDTH, total[i]);
}

// image and out (rows, columns); taps (reach + 1) from the middle out; scratch of `blur_scratch` zeros.
static void blur(const double* image, int64_t rows, int64_t columns, const double* taps, int64_t reach, double* scratch,
                 double* out) {
  const int64_t wide = round_up(columns, BLUR_BLOCK);
  double *const padded = scratch, *const line = scratch + (rows + 2 * reach) * wide + reach;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) padded[(r + reach) * wide + c] = image[r * columns + c];
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < wide; c += BLUR_BLOCK)
      filter_block(padded + (r + reach) * wide + c, wide, taps, reach, line + c);
    for (int64_t c = 0; c < columns; c += BLUR_BLOCK) {
      double block[BLUR_BLOCK];
      filter_block(line + c, 1, taps, reach, block);
      const int64_t here = columns - c < BLUR_BLOCK ? columns - c : BLUR_BLOCK;
      for (int64_t i = 0; i < here; ++i) out[r * columns + c + i] = block[i];
    }
  }
}
