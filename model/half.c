/* half.c -- floats of 16 and 8 bits (half.h). */
#include "model/half.h"
#include <math.h>

double md_half_value(uint16_t bits)
{
    const int    e = bits >> 10 & 31, m = bits & 1023;
    const double v = e == 0 ? m * 0x1p-24 : e == 31 ? (m ? (double)NAN : (double)INFINITY) : (1024 + m) * 0x1p-25 * (double)(1u << e);
    return bits & 0x8000 ? -v : v;
}

double md_e5m2_value(uint8_t bits) { return md_half_value((uint16_t)(bits << 8)); }

double md_e4m3_value(uint8_t bits)
{
    const int    e = bits >> 3 & 15, m = bits & 7;
    const double v = e == 0 ? m * 0x1p-9 : (bits & 127) == 127 ? (double)NAN : (8 + m) * 0x1p-10 * (double)(1u << e);
    return bits & 0x80 ? -v : v;
}

uint16_t md_half_bits(float x)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    const double   a    = fabs((double)x);
    int            e;
    if (isnan(x)) return sign | 0x7e00;
    if (a >= 65520) return sign | 0x7c00;
    if (a < 0x1p-14) return sign | (uint16_t)nearbyint(a * 0x1p24);
    const double m = frexp(a, &e); /* a = m 2^e, m from 1/2 to 1 */
    return sign | (uint16_t)(((e + 13) << 10) + (int)nearbyint(m * 2048));
}
