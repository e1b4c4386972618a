// Pictures as bytes: what the entry point (bytes_api.cpp) and the loop (bytes.cpp) share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

A3D_FOR_EACH_ISA(
    // Bytes of n colours, three floats each; with their alphas (or null) four bytes each, colours divided by alpha.
    void to_bytes(const float* rgb, const float* alpha, int64_t n, uint8_t* out);
)
