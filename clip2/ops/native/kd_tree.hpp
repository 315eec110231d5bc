// What the components of radius graphs are found in: points along a curve, a tree over them, and what is joined so far.

constexpr int64_t TWIG = 16;  // points in the smallest box
constexpr int64_t FORK = 4;   // children of a box: pairs of boxes are compared, so few
constexpr int MAX_HEIGHT = 20;
constexpr uint32_t TORN = 0xffffffffu;

// Boxes of one height of the tree.
struct Branches {
  int64_t count = 0;
  double *low[3], *high[3], *radius;  // radius: the largest of its points
  uint32_t* whole;                    // one of its points, if all of them are in one component, else TORN
};

// Doubles throughout: surveys have coordinates of millions of meters.
struct Forest {
  int64_t count = 0, padded = 0;
  double *axis[3], *radius;  // padded with NaN, which nothing meets
  uint32_t* parent;          // of each point; the root of a component is its own
  int height = 0;
  Branches branches[MAX_HEIGHT];  // [0]: of TWIG points each; [i + 1]: of FORK boxes of branches[i] each
  Buffer<double> numbers;
  Buffer<uint32_t> integers;

  explicit Forest(int64_t size) : count(size), padded(round_up(size, TWIG)) {
    int64_t boxes = 0;
    for (int64_t here = padded / TWIG;; here = round_up(here, FORK) / FORK) {
      boxes += branches[height++].count = here;
      if (here == 1) break;
    }
    numbers.resize(4 * padded + 7 * boxes);
    integers.resize(padded + boxes);
    double* number = numbers;
    for (double** array : {&axis[0], &axis[1], &axis[2], &radius}) *array = number, number += padded;
    parent = integers;
    uint32_t* integer = parent + padded;
    for (Branches* b = branches; b < branches + height; integer += b->count, ++b) {
      b->whole = integer;
      for (int a = 0; a < 3; ++a) b->low[a] = number, b->high[a] = number + b->count, number += 2 * b->count;
      b->radius = number, number += b->count;
    }
    for (int64_t i = 0; i < boxes; ++i) parent[padded + i] = TORN;
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
