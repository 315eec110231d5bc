// Sums, maxima and softmax of rows by segment: of the segments from..to-1 alone, so that threads can split the segments.
// Every sum is then made in the order of the rows, whatever the number of threads.

// Calls work(row) for the rows of some segments, in order.
template <typename Work>
static inline void each_row(const Segments& given, int64_t from, int64_t to, const Work& work) {
  constexpr int64_t BLOCK = 512, AHEAD = 8;
  const auto fetch = [&](int64_t row) {
    const float* soon = given.values + row * given.channels;
    for (int64_t c = 0; c < given.channels && c < 128; c += 16) __builtin_prefetch(soon + c);
  };
  if (to == ALL) {
    for (int64_t r = 0; r < given.rows; ++r) {
      fetch(r + AHEAD);
      work(r);
    }
    return;
  }
  const uint64_t wanted = static_cast<uint64_t>(to - from);
  uint32_t picked[BLOCK + AHEAD];
  for (int64_t start = 0; start < given.rows; start += BLOCK) {
    const int64_t end = start + BLOCK < given.rows ? start + BLOCK : given.rows;
    int64_t count = 0;
    for (int64_t r = start; r < end; ++r) {  // without a branch: half of the predictions would fail
      picked[count] = static_cast<uint32_t>(r - start);
      count += static_cast<uint64_t>(given.index[r] - from) < wanted;
    }
    for (int64_t i = 0; i < AHEAD; ++i) picked[count + i] = 0;
    for (int64_t i = 0; i < count; ++i) {
      fetch(start + picked[i + AHEAD]);
      work(start + picked[i]);
    }
  }
}

static void sum(const Segments& given, int64_t from, int64_t to, float* out) {
  const int64_t channels = given.channels;
  each_row(given, from, to, [&](int64_t r) {
    const float* value = given.values + r * channels;
    float* total = out + given.index[r] * channels;
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) store(total + c, load(total + c) + load(value + c));
    for (; c < channels; ++c) total[c] += value[c];
  });
}

static inline float larger(float a, float b) { return a > b || a != a ? a : b; }

// NaN wins, as in torch. `seen` has a place per segment.
static void max(const Segments& given, int64_t from, int64_t to, float* out, uint8_t* seen) {
  const int64_t channels = given.channels;
  each_row(given, from, to, [&](int64_t r) {
    const float* value = given.values + r * channels;
    float* best = out + given.index[r] * channels;
    if (!seen[given.index[r]]) {
      seen[given.index[r]] = 1;
      for (int64_t c = 0; c < channels; ++c) best[c] = value[c];
      return;
    }
    for (int64_t c = 0; c < channels; ++c) best[c] = larger(value[c], best[c]);
  });
}

// e^x for x <= 0 and NaN, to 2 units in the last place (polynomial of Moshier's Cephes, expf).
static inline Floats power(Floats x) {
  constexpr float SHIFT = 12582912.0f;  // 1.5 * 2^23: adding a number rounds it to an integer
  x = larger(broadcast(-104.0f), x);          // e^-104 is 0
  const Floats shifted = x * 1.44269504f + SHIFT, whole = shifted - SHIFT;
  const Floats r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^whole in two factors: a result below the normal numbers is one float's exponent away from too small.
  const Integers n = 0x4b400000u - (Integers)shifted, half = n >> 1;
  return p * (Floats)((127u - half) << 23) * (Floats)((127u - (n - half)) << 23);
}

// out has a row per row of values; `largest` and `total` one per segment, the first filled in, the second zeros.
static void softmax(const Segments& given, int64_t from, int64_t to, const float* largest, float* total, float* out) {
  const int64_t channels = given.channels, whole = channels / LANES * LANES;
  const int64_t tail = (channels - whole) * sizeof(float);
  each_row(given, from, to, [&](int64_t r) {
    const float *value = given.values + r * channels, *best = largest + given.index[r] * channels;
    float *sums = total + given.index[r] * channels, *powers = out + r * channels;
    for (int64_t c = 0; c < whole; c += LANES) {
      const Floats here = power(load(value + c) - load(best + c));
      store(powers + c, here);
      store(sums + c, load(sums + c) + here);
    }
    if (!tail) return;
    float a[LANES] = {}, b[LANES] = {};
    __builtin_memcpy(a, value + whole, tail);
    __builtin_memcpy(b, best + whole, tail);
    store(a, power(load(a) - load(b)));
    __builtin_memcpy(powers + whole, a, tail);
    for (int64_t c = whole; c < channels; ++c) sums[c] += powers[c];
  });
  each_row(given, from, to, [&](int64_t r) {
    const float* sums = total + given.index[r] * channels;
    float* powers = out + r * channels;
    for (int64_t c = 0; c < channels; ++c) powers[c] /= sums[c];
  });
}
