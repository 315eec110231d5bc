// Sums and maxima of rows by segment.

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
