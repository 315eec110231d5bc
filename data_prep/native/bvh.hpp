// Bounding volume hierarchy over points with union-find: the connected components of radius graphs.

struct Bvh {
  static constexpr int64_t LEAF = 16;    // points in the smallest box
  static constexpr int64_t FANOUT = 4;   // children of a box: pairs of boxes are compared, so few
  static constexpr int MAX_LEVELS = 20;
  static constexpr uint32_t MIXED = 0xffffffffu;

  struct Level {
    int64_t count = 0;                  // boxes
    double *low[3], *high[3], *radius;  // radius: the largest of its points
    uint32_t* member;                   // a point of each box whose points are all in one component, else MIXED
  };

  // Doubles throughout: surveys have coordinates of millions of meters.
  int64_t count = 0, padded = 0;
  double *axis[3], *radius;  // padded with NaN, which no comparison accepts
  uint32_t* parent;          // union-find: the root of a component is its own parent
  int levels = 0;
  Level level[MAX_LEVELS];  // [0]: of LEAF points each; [i + 1]: of FANOUT boxes of level[i] each
  Buffer<double> numbers;
  Buffer<uint32_t> integers;

  explicit Bvh(int64_t size) : count(size), padded(round_up(size, LEAF)) {
    int64_t boxes = 0;
    for (int64_t here = padded / LEAF;; here = round_up(here, FANOUT) / FANOUT) {
      boxes += level[levels++].count = here;
      if (here == 1) break;
    }
    numbers.resize(4 * padded + 7 * boxes);
    integers.resize(padded + boxes);
    double* number = numbers;
    for (double** array : {&axis[0], &axis[1], &axis[2], &radius}) *array = number, number += padded;
    parent = integers;
    uint32_t* integer = parent + padded;
    for (Level* l = level; l < level + levels; integer += l->count, ++l) {
      l->member = integer;
      for (int a = 0; a < 3; ++a) l->low[a] = number, l->high[a] = number + l->count, number += 2 * l->count;
      l->radius = number, number += l->count;
    }
    for (int64_t i = 0; i < boxes; ++i) parent[padded + i] = MIXED;
    for (int64_t i = 0; i < padded; ++i) parent[i] = static_cast<uint32_t>(i);
    for (int64_t i = count; i < padded; ++i)
      for (double* array : {axis[0], axis[1], axis[2], radius}) array[i] = NOT_A_NUMBER;
  }

  uint32_t root(uint32_t point) {
    while (parent[point] != point) point = parent[point] = parent[parent[point]];
    return point;
  }

  void unite(uint32_t a, uint32_t b) {
    a = root(a), b = root(b);
    if (a < b) parent[b] = a;
    if (b < a) parent[a] = b;
  }
};
