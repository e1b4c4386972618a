// The point of a triangle that is closest to a given one. Neighbours must agree on the point of an edge or vertex that
// they share, bit for bit, so that ties can go to the lowest face: corners are sorted by vertex number, every edge is
// walked from its lower to its higher number, and one formula gives all squared distances.
#pragma once
#include "math/config.h"

namespace A3D_MATH {

// A triangle with corners in rising order of their numbers. The projection of p on its plane has the weight
// -(a - p) . along[0] of corner b, -(a - p) . along[1] of c, and lies (a - p) . normal away; NaN in `along` where the
// triangle has no area. per_length: 1 / squared length of the edges ab, ac, bc; 0 where an edge has no length.
template <class T>
struct Triangle {
  T a[3], b[3], c[3];
  T along[2][3], normal[3], per_length[3];
};

template <class T>
struct Nearest {
  T squared;    // distance
  T weight[3];  // of a, b, c
};

template <class T>
A3D_HD T inner(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// Replaces `best` by the closest point of an edge, where that is nearer. from, to: its ends as seen from the point; the
// weights belong to corners i and j.
template <class T>
A3D_HD void try_edge(const T* from, const T* to, T of_from, T of_to, T per_length, int i, int j, Nearest<T>& best) {
  T edge[3], at[3];
  for (int c = 0; c < 3; c++) edge[c] = to[c] - from[c];
  const T share = min(max(-inner(from, edge) * per_length, T{}), T{} + 1.f);
  for (int c = 0; c < 3; c++) at[c] = from[c] + share * edge[c];
  // The end itself has its own distance: from + edge is not quite `to`.
  const T squared = select(share <= 0.f, of_from, select(share >= 1.f, of_to, inner(at, at)));
  const auto nearer = squared < best.squared;
  best.squared = select(nearer, squared, best.squared);
  for (int k = 0; k < 3; k++)
    best.weight[k] = select(nearer, k == i ? 1.f - share : k == j ? share : T{}, best.weight[k]);
}

template <class T>
A3D_HD Nearest<T> nearest(const Triangle<T>& triangle, const T* point) {
  T a[3], b[3], c[3];
  for (int i = 0; i < 3; i++)
    a[i] = triangle.a[i] - point[i], b[i] = triangle.b[i] - point[i], c[i] = triangle.c[i] - point[i];
  const T v = -inner(a, triangle.along[0]), w = -inner(a, triangle.along[1]), u = 1.f - v - w;
  const T height = inner(a, triangle.normal);
  const auto inside = (u >= 0.f) & (v >= 0.f) & (w >= 0.f);
  const T of_a = inner(a, a), of_b = inner(b, b), of_c = inner(c, c), none = T{} + 3e38f;
  Nearest<T> best = {none, {T{}, T{}, T{}}};
  try_edge(a, b, of_a, of_b, triangle.per_length[0], 0, 1, best);
  try_edge(a, c, of_a, of_c, triangle.per_length[1], 0, 2, best);
  try_edge(b, c, of_b, of_c, triangle.per_length[2], 1, 2, best);
  best.squared = select(inside, height * height, best.squared);
  best.weight[0] = select(inside, u, best.weight[0]);
  best.weight[1] = select(inside, v, best.weight[1]);
  best.weight[2] = select(inside, w, best.weight[2]);
  return best;
}

// Squared distance from a point to a box, 0 inside.
template <class T>
A3D_HD T box_distance(const T* low, const T* high, const T* point) {
  T away[3];
  for (int c = 0; c < 3; c++) away[c] = max(max(low[c] - point[c], point[c] - high[c]), T{});
  return inner(away, away);
}

}  // namespace A3D_MATH
