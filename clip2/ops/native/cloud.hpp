// What all kernels work on, whatever the instruction set: clouds as plain arrays, boxes around runs of points, queries.

constexpr int64_t LEAF = 32;    // points in the smallest box of a tree for searching
constexpr int64_t SPAN = 64;    // and in a box of farthest-point sampling: fastest of 16 to 64 from 1k to 100k points
constexpr int64_t FAN = 16;    // children of a box
constexpr int MAX_LEVELS = 10;  // 32 * 16^9 points are more than an int32 can number
constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Uninitialized memory that is given back by itself, aligned to a cache line.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t count) { resize(count); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }
  void resize(int64_t count) {
    std::free(data_);
    data_ = static_cast<T*>(std::aligned_alloc(64, std::max<int64_t>(64, round_up(count * sizeof(T), 64))));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  operator T*() { return data_; }
  T* get() { return data_; }

 private:
  T* data_ = nullptr;
};

// Axis-aligned boxes, one plain array per bound; the tail up to a multiple of FAN is NaN, which nothing is near.
struct Boxes {
  int64_t count = 0;
  float *low[3], *high[3];
};

// A cloud as three plain arrays, padded with NaN to a multiple of LEAF, in the caller's order or along a curve.
struct Cloud {
  int64_t count = 0, padded = 0;
  float* axis[3];
  uint32_t* id = nullptr;  // index in the caller's order
  int64_t leaf = LEAF;
  int levels = 0;
  Boxes boxes[MAX_LEVELS];  // [0]: of `leaf` points each; [i + 1]: of FAN boxes of level i each
  Buffer<float> coordinates, bounds;
  Buffer<uint32_t> ids;
};

// What one thread needs to answer queries.
struct Scratch {
  Buffer<uint64_t> nearest;        // kNN: the best keys so far
  Buffer<uint64_t> marks, groups;  // ball query: a bit per point, and a bit per word of `marks`
};

// Some of the centers of a cloud, in the caller's order or along a curve: then what one needs is still in cache for
// the next.
struct Queries {
  const float* centers;
  const uint64_t* order;  // null, or the low halves are rows of centers
  int64_t from, to;
  int64_t row(int64_t i) const { return order == nullptr ? i : static_cast<int64_t>(static_cast<uint32_t>(order[i])); }
};

constexpr int64_t ALL = std::numeric_limits<int64_t>::max();  // one past the last of all segments

// Rows of values, each of a segment.
struct Segments {
  const float* values;   // (rows, channels)
  const int64_t* index;  // (rows)
  int64_t rows, channels;
};

void plain_cloud(Cloud& cloud, const float* points, int64_t count) {
  cloud.count = count;
  cloud.padded = round_up(count, 4 * LEAF);
  cloud.coordinates.resize(3 * cloud.padded);
  for (int a = 0; a < 3; ++a) {
    float* axis = cloud.axis[a] = cloud.coordinates.get() + a * cloud.padded;
    for (int64_t i = 0; i < count; ++i) axis[i] = points[3 * i + a];
    for (int64_t i = count; i < cloud.padded; ++i) axis[i] = NOT_A_NUMBER;
  }
}

// The range that the curve resolves: where most of the points are, so that a stray one does not blur all others.
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
