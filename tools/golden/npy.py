#!/usr/bin/env python3
"""Arrays as NumPy writes them: tools/golden/npy.py FOLDER (tests/golden/npy).  The test knows what is in them."""
import os
import sys
import zipfile

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
path = lambda name: os.path.join(folder, name)
arrays = dict(f2=np.array([0.5, -2, 65504, 6e-8, np.inf], np.float16), f4=np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
              f8=np.array([[1 / 3], [-1e300]]), i1=np.array([-128, 127], np.int8), i2=np.array([-32768], np.int16), i4=np.array([-2**31, 7], np.int32),
              i8=np.array([-2**63, 2**62]), u1=np.array([0, 255], np.uint8), u2=np.array([65535], np.uint16), u4=np.array([2**32 - 1], np.uint32),
              u8=np.array([2**64 - 1], np.uint64), b1=np.array([True, False]), scalar=np.array(2.5), none=np.zeros((0, 4), np.float32))
np.savez(path("stored.npz"), **arrays)
np.savez_compressed(path("packed.npz"), **arrays)
np.save(path("lone.npy"), arrays["f4"])
for name, array in dict(fortran=np.asfortranarray(arrays["f4"]), big=arrays["f4"].astype(">f4"), complex=np.array([1j]), text=np.array(["ab"]),
                        record=np.zeros(2, [("a", "<f4")]), deep=np.zeros((1,) * 9)).items():
    np.save(path(name + ".npy"), array)
for version in (2, 3):
    with open(path(f"version{version}.npy"), "wb") as f:
        np.lib.format.write_array(f, arrays["f4"], version=(version, 0))
with zipfile.ZipFile(path("bzip2.npz"), "w", zipfile.ZIP_BZIP2) as z:
    z.write(path("lone.npy"), "a.npy")
