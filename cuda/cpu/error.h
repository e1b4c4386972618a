// Errors of the C interface: a code and one line of text kept per thread.
#pragma once

namespace a3d {
// Keeps the text for a3d_last_error() and returns the code 1.
int fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
}  // namespace a3d
