// Vectors of LANES floats and LANES / 2 doubles.

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef float UnalignedFloats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Integers __attribute__((vector_size(4 * LANES)));

typedef double Doubles __attribute__((vector_size(4 * LANES)));
typedef double UnalignedDoubles __attribute__((vector_size(4 * LANES), aligned(8), may_alias));

static inline Doubles load(const double* from) { return *reinterpret_cast<const UnalignedDoubles*>(from); }
static inline Doubles load_doubles(const uint64_t* from) { return *reinterpret_cast<const UnalignedDoubles*>(from); }
static inline void store_doubles(uint64_t* to, Doubles value) { *reinterpret_cast<UnalignedDoubles*>(to) = value; }
static inline Floats load(const float* from) { return *reinterpret_cast<const UnalignedFloats*>(from); }
static inline void store(float* to, Floats value) { *reinterpret_cast<UnalignedFloats*>(to) = value; }
static inline Floats broadcast(float value) { return value - Floats{}; }
static inline Doubles broadcast(double value) { return value - Doubles{}; }

// Of a NaN and a number these keep the second argument.
#if LANES == 16
static inline Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
static inline Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
static inline Doubles smaller(Doubles a, Doubles b) { return (Doubles)_mm512_min_pd((__m512d)a, (__m512d)b); }
static inline Doubles larger(Doubles a, Doubles b) { return (Doubles)_mm512_max_pd((__m512d)a, (__m512d)b); }
static inline uint32_t at_most(Floats a, Floats b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OQ); }
static inline uint32_t at_most(Doubles a, Doubles b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LE_OQ); }
static inline uint32_t less_than(Floats a, Floats b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
static inline uint32_t equal(Floats a, Floats b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ); }
static inline float largest(Floats a) { return _mm512_reduce_max_ps((__m512)a); }
#elif LANES == 8
static inline Floats smaller(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }
static inline Floats larger(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
static inline Doubles smaller(Doubles a, Doubles b) { return (Doubles)_mm256_min_pd((__m256d)a, (__m256d)b); }
static inline Doubles larger(Doubles a, Doubles b) { return (Doubles)_mm256_max_pd((__m256d)a, (__m256d)b); }
static inline uint32_t bits_of(__m256 mask) { return static_cast<uint32_t>(_mm256_movemask_ps(mask)); }
static inline uint32_t at_most(Floats a, Floats b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LE_OQ)); }
static inline uint32_t at_most(Doubles a, Doubles b) {
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)a, (__m256d)b, _CMP_LE_OQ)));
}
static inline uint32_t less_than(Floats a, Floats b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ)); }
static inline uint32_t equal(Floats a, Floats b) { return bits_of(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_EQ_OQ)); }
static inline float largest(Floats a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
#else
static inline Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
static inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
static inline Doubles smaller(Doubles a, Doubles b) { return a < b ? a : b; }
static inline Doubles larger(Doubles a, Doubles b) { return a > b ? a : b; }
template <typename Mask>
static inline uint32_t bits_of(Mask mask) {
  uint32_t bits = 0;
  for (unsigned i = 0; i < sizeof mask / sizeof mask[0]; ++i) bits |= (mask[i] != 0 ? 1u : 0u) << i;
  return bits;
}
static inline uint32_t at_most(Floats a, Floats b) { return bits_of(a <= b); }
static inline uint32_t at_most(Doubles a, Doubles b) { return bits_of(a <= b); }
static inline uint32_t less_than(Floats a, Floats b) { return bits_of(a < b); }
static inline uint32_t equal(Floats a, Floats b) { return bits_of(a == b); }
static inline float largest(Floats a) {
  float result = a[0];
  for (int i = 1; i < LANES; ++i) result = a[i] > result ? a[i] : result;
  return result;
}
#endif

// The lanes moved up by one; the last of `lower` comes in at the bottom.
static inline Doubles shift_up(Doubles lower, Doubles upper) {
#if LANES == 16
  return __builtin_shufflevector(lower, upper, 7, 8, 9, 10, 11, 12, 13, 14);
#elif LANES == 8
  return __builtin_shufflevector(lower, upper, 3, 4, 5, 6);
#else
  return __builtin_shufflevector(lower, upper, 1, 2);
#endif
}

static inline float infinity() { return __builtin_inff(); }

struct Point {
  Floats x, y, z;
  explicit Point(const float* at) : x(broadcast(at[0])), y(broadcast(at[1])), z(broadcast(at[2])) {}
};

// Multiplied, then added, in this order everywhere: the same rounding as the torch version.
static inline Floats squared_distance(const float* const axis[3], int64_t i, const Point& at) {
  const Floats x = load(axis[0] + i) - at.x, y = load(axis[1] + i) - at.y, z = load(axis[2] + i) - at.z;
  return x * x + y * y + z * z;
}

// Never more than the rounded squared distance of a point inside: subtraction, square and sum round monotonically.
static inline Floats squared_distance(const Boxes& boxes, int64_t i, const Point& at) {
  const Floats zero = {};
  const Floats x = larger(zero, larger(load(boxes.low[0] + i) - at.x, at.x - load(boxes.high[0] + i)));
  const Floats y = larger(zero, larger(load(boxes.low[1] + i) - at.y, at.y - load(boxes.high[1] + i)));
  const Floats z = larger(zero, larger(load(boxes.low[2] + i) - at.z, at.z - load(boxes.high[2] + i)));
  return x * x + y * y + z * z;
}
