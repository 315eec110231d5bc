// Clouds and queries along a Hilbert curve, and the tree of boxes over them.

// Range of the curve: the region of most points, so that outliers do not reduce the resolution.
void curve_range(const float* points, int64_t count, float low[3], float scale[3], int bits) {
  constexpr int64_t SAMPLE = 64;
  float widest = 0;
  for (int a = 0; a < 3; ++a) {
    float sample[SAMPLE];
    const int64_t taken = std::min(SAMPLE, count);
    int64_t size = 0;
    for (int64_t i = 0; i < taken; ++i) {
      const float value = points[3 * (i * count / taken) + a];
      if (std::isfinite(value)) sample[size++] = value;
    }
    std::sort(sample, sample + size);
    const int64_t cut = size / 32;
    low[a] = size ? sample[cut] : 0.0f;
    const float spread = size ? sample[size - 1 - cut] - low[a] : 0.0f;
    low[a] -= 0.25f * spread;
    widest = std::max(widest, 1.5f * spread);
  }
  // One scale for all axes: boxes should be as long as they are wide.
  const float cells = static_cast<float>((1 << bits) - 1);
  for (int a = 0; a < 3; ++a) scale[a] = widest > 0 && std::isfinite(widest) ? cells / widest : 0.0f;
}

// Stable least-significant-digit sort of (code << 32 | index) by the code.
void sort_by_code(uint64_t* keys, uint64_t* spare, int64_t count, int bits) {
  constexpr int DIGIT = 8;
  const int passes = (bits + DIGIT - 1) / DIGIT;
  std::vector<uint32_t> counts(static_cast<size_t>(passes) << DIGIT, 0);
  for (int64_t i = 0; i < count; ++i)
    for (int p = 0; p < passes; ++p)
      ++counts[(p << DIGIT) + ((keys[i] >> (32 + p * DIGIT)) & ((1 << DIGIT) - 1))];
  for (int p = 0; p < passes; ++p) {
    uint32_t* start = &counts[p << DIGIT];
    for (uint32_t digit = 0, total = 0; digit < 1 << DIGIT; ++digit) {
      const uint32_t here = start[digit];
      start[digit] = total;
      total += here;
    }
    for (int64_t i = 0; i < count; ++i)
      spare[start[(keys[i] >> (32 + p * DIGIT)) & ((1 << DIGIT) - 1)]++] = keys[i];
    std::swap(keys, spare);
  }
  if (passes % 2) std::memcpy(spare, keys, count * sizeof(uint64_t));
}

// keys[i]: the low half is the index of the i-th point along a Hilbert curve, on which near points follow each other.
void order(const float* points, int64_t count, Buffer<uint64_t>& keys) {
  const int bits = count <= 1 << 14 ? 8 : 10;
  float low[3], scale[3];
  curve_range(points, count, low, scale, bits);
  keys.resize(count);
  Buffer<uint64_t> spare(count);
  kernels().curve(points, count, low, scale, bits, keys);
  sort_by_code(keys, spare, count, 3 * bits);
}

// The same for doubles, which may lie anywhere: the order is that of their floats from the lowest corner.
void order_from_corner(const double* points, int64_t count, Buffer<uint64_t>& keys) {
  double corner[3] = {};
  for (int a = 0; a < 3 && count; ++a) corner[a] = points[a];
  for (int64_t i = 0; i < 3 * count; ++i) corner[i % 3] = std::min(corner[i % 3], points[i]);
  Buffer<float> near(3 * count);
  for (int64_t i = 0; i < 3 * count; ++i) near[i] = static_cast<float>(points[i] - corner[i % 3]);
  order(near, count, keys);
}

// Fills in a cloud in the caller's order, or in the order of the curve: then consecutive runs are compact.
void fill(Cloud& cloud, const float* points, int64_t count, bool along_curve) {
  Buffer<uint64_t> keys;
  if (along_curve) order(points, count, keys);
  cloud.count = count;
  cloud.padded = round_up(count, 4 * LEAF);
  cloud.coordinates.resize(3 * cloud.padded);
  for (int a = 0; a < 3; ++a) cloud.axis[a] = cloud.coordinates.get() + a * cloud.padded;
  if (along_curve) {
    cloud.ids.resize(cloud.padded);
    cloud.id = cloud.ids;
    for (int64_t i = 0; i < cloud.padded; ++i) cloud.id[i] = i < count ? static_cast<uint32_t>(keys[i]) : 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* point = points + 3 * (along_curve ? static_cast<int64_t>(cloud.id[i]) : i);
    for (int a = 0; a < 3; ++a) cloud.axis[a][i] = point[a];
  }
  for (int64_t i = count; i < cloud.padded; ++i)
    for (int a = 0; a < 3; ++a) cloud.axis[a][i] = NOT_A_NUMBER;
}

// Makes room for the boxes of every level and computes them.
void enclose(Cloud& cloud) {
  int64_t total = 0, sizes[MAX_LEVELS];
  cloud.levels = 0;
  for (int64_t count = round_up(cloud.count, cloud.leaf) / cloud.leaf;; count = round_up(count, FANOUT) / FANOUT) {
    cloud.boxes[cloud.levels].count = count;
    total += sizes[cloud.levels++] = round_up(count, FANOUT);
    if (count <= FANOUT) break;
  }
  cloud.bounds.resize(6 * total);
  float* place = cloud.bounds;
  for (int i = 0; i < cloud.levels; ++i)
    for (int a = 0; a < 3; ++a) {
      cloud.boxes[i].low[a] = place;
      cloud.boxes[i].high[a] = place + sizes[i];
      place += 2 * sizes[i];
    }
  kernels().enclose(cloud);
}
