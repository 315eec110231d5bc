// Farthest-point sampling.

// Greedy and exact. A leaf is visited only if the latest sample is nearer to its box than the leaf's farthest point is
// to all earlier samples.
static void farthest(Cloud& cloud, int64_t k, int64_t first, const float* points, int64_t* chosen) {
  const Boxes& boxes = cloud.boxes[0];
  const int64_t padded = round_up(boxes.count, FANOUT);
  Buffer<float> nearest_buffer(cloud.padded), most_buffer(padded);
  float* const nearest = nearest_buffer;  // of each point to the samples
  float* const most = most_buffer;        // the largest of each leaf
  for (int64_t i = 0; i < cloud.padded; ++i) nearest[i] = i < cloud.count ? infinity() : -1.0f;
  for (int64_t i = 0; i < padded; ++i) most[i] = i < boxes.count ? infinity() : -1.0f;
  chosen[0] = first;
  for (int64_t step = 1; step < k; ++step) {
    const Point at(points + 3 * chosen[step - 1]);
    for (int64_t box = 0; box < boxes.count; box += LANES) {
      uint32_t reached = less_than(squared_distance(boxes, box, at), load(most + box));
      while (reached) {
        const int64_t leaf = box + __builtin_ctz(reached);
        reached &= reached - 1;
        Floats farthest_yet = broadcast(-1.0f);
        for (int64_t i = leaf * SAMPLING_LEAF; i < (leaf + 1) * SAMPLING_LEAF; i += LANES) {
          const Floats now = smaller(squared_distance(cloud.axis, i, at), load(nearest + i));
          store(nearest + i, now);
          farthest_yet = larger(farthest_yet, now);
        }
        most[leaf] = largest(farthest_yet);
      }
    }
    Floats tops = load(most);
    for (int64_t box = LANES; box < padded; box += LANES) tops = larger(tops, load(most + box));
    const float top = largest(tops);
    if (top == 0.0f) {  // every point coincides with a sample
      for (; step < k; ++step) chosen[step] = 0;
      return;
    }
    int64_t winner = cloud.count;  // of equally far points the lowest index
    for (int64_t box = 0; box < padded; box += LANES) {
      uint32_t best = equal(load(most + box), broadcast(top));
      while (best) {
        const int64_t leaf = box + __builtin_ctz(best);
        best &= best - 1;
        for (int64_t i = leaf * SAMPLING_LEAF; i < (leaf + 1) * SAMPLING_LEAF; i += LANES) {
          uint32_t here = equal(load(nearest + i), broadcast(top));
          while (here) {
            const int64_t place = i + __builtin_ctz(here);
            const int64_t index = cloud.id ? cloud.id[place] : place;
            winner = index < winner ? index : winner;
            here &= here - 1;
          }
        }
      }
    }
    chosen[step] = winner < cloud.count ? winner : 0;  // NaN coordinates alone can leave none
  }
}
