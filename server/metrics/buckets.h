#ifndef SEER_SERVER_METRICS_BUCKETS_H_
#define SEER_SERVER_METRICS_BUCKETS_H_

#include <vector>

namespace seer {

// Upper bounds of histogram buckets, ascending; the one without bound is
// implied. They are part of the metrics' interface: dashboards and alerts name
// them.

// first, 2 * first, ... : `count` of them.
inline std::vector<double> Doubling(double first, int count) {
  std::vector<double> buckets;
  for (int i = 0; i < count; ++i, first *= 2) buckets.push_back(first);
  return buckets;
}

inline std::vector<double> FirstTokenBuckets() {
  return {.001, .002, .005, .01, .02, .05, .1,  .2,  .5, 1,
          2,    5,    10,   20,  40,  80,  160, 320, 640};
}

inline std::vector<double> InterTokenBuckets() {
  return {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5};
}

// Powers of two, but around the default times of a step (--step_ms): those, and
// a fifth over them.
inline std::vector<double> StepBuckets() {
  return {.001, .002, .004, .008, .016, .032, .05, .06, .125,
          .25,  .5,   .6,   1,    2,    4,    8,   16,  32};
}

inline std::vector<double> SparsityBuckets() {
  return {0, .1, .2, .3, .4, .5, .6, .7, .8, .9, .925, .95, .975, .99, 1};
}

// Nats, for distributions that are nearly the same to ones that differ.
inline std::vector<double> KlBuckets() {
  return {.0001, .0003, .001, .003, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10};
}

inline std::vector<double> GapBuckets() {
  return {-.5,  -.2,  -.1,  -.05, -.02, -.01, -.005, -.002, -.001, 0,
          .001, .002, .005, .01,  .02,  .05,  .1,    .2,    .5};
}

}  // namespace seer

#endif  // SEER_SERVER_METRICS_BUCKETS_H_
