// All kernels, included by native.cpp once per instruction set with LANES floats per vector. No include guards, and
// nothing from the standard library in these files: an inline function of it compiled for a newer processor could be
// the copy that the linker keeps for all.

#include "kernels/simd.hpp"
#include "kernels/tree.hpp"
#include "kernels/sampling.hpp"
#include "kernels/nearest.hpp"
#include "kernels/ball.hpp"
#include "kernels/components.hpp"
#include "kernels/blur.hpp"
#include "kernels/extents.hpp"
#include "kernels/segments.hpp"

const Kernels table = {NAME, curve, enclose, farthest, ball, knn, components, blur, extents, sum, max, softmax};
