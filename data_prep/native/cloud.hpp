// Point clouds as plain arrays with boxes around runs of points, the input of all kernels.

constexpr int64_t LEAF = 32;           // points in the smallest box of a tree for searching
constexpr int64_t SAMPLING_LEAF = 64;  // the same for farthest-point sampling: best of 16 to 64 from 1k to 100k points
constexpr int64_t FANOUT = 16;         // children of a box
constexpr int MAX_LEVELS = 10;         // 32 * 16^9 points are more than an int32 can number
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Uninitialized memory aligned to a cache line, freed by the destructor.
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

// Axis-aligned boxes, one plain array per bound; the tail up to a multiple of FANOUT is NaN, which nothing is near.
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
  Boxes boxes[MAX_LEVELS];  // [0]: of `leaf` points each; [i + 1]: of FANOUT boxes of level i each
  Buffer<float> coordinates, bounds;
  Buffer<uint32_t> ids;
};
