/* half.h -- floats of 16 and 8 bits, in which files hold weights.  Private to model/. */
#ifndef MD_HALF_H
#define MD_HALF_H
#include <stdint.h>

/* Values of the bits of an IEEE binary16 number, and of the 8-bit numbers of the Open Compute Project (OCP 8-bit Floating Point
 * Specification, revision 1.0): E4M3 has no infinities, E5M2 is the upper half of a binary16. */
double md_half_value(uint16_t bits);
double md_e4m3_value(uint8_t bits);
double md_e5m2_value(uint8_t bits);

/* Returns the bits of the binary16 number nearest to x, of two the even one.  Beyond 65519.99 it is infinite. */
uint16_t md_half_bits(float x);
#endif
