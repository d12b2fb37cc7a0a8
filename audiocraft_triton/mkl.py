"""Has MKL add up in one order wherever an operand lies in memory.

On x86 torch multiplies float32 matrices with MKL. On AMD's processors, and on Intel's older ones, MKL chooses a kernel
by its operands' alignment, and each kernel adds up in an order of its own. torch's attention gives every thread a piece
of one buffer to work in, the pieces are aligned differently, and so the last bits of a row would depend on the thread
that computed it. MKL's conditional numerical reproducibility rules that out, at the same speed.

MKL reads the variable at its first product. The package imports this module before anything else; a value that is set
already stays.
"""

import os

VARIABLE = "MKL_CBWR"
VALUE = "AUTO"
"""The processor's own kernels. `AUTO,STRICT` adds equal bits for any number of threads, which is fixed here anyway, and
makes attention on Intel's processors a third slower."""

os.environ.setdefault(VARIABLE, VALUE)
