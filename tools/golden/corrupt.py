#!/usr/bin/env python3
"""Writes tests/golden/corrupt: two small images and what corruptions make of them, by NumPy, SciPy, scikit-image, OpenCV, Pillow and ImageMagick.

    tools/golden/corrupt.py [--out tests/golden/corrupt]         needs numpy scipy scikit-image opencv-python-headless pillow xxhash, and `convert`

  images.bin   bytes [channels][side][side], one image after the other
  index.txt    a line for each: name, strength, channels, side; name "in" is what the others of that shape were made of

Random numbers are the project's (Philox4x32-10, counted, under a key from XXH3), written here once more with NumPy; what is done with
them is done by those packages, in the order of make_cifar_c.py of github.com/hendrycks/robustness."""
import argparse
import io
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import PIL
import scipy
import skimage
import xxhash
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from scipy.stats import poisson

SEED, ITEM = 5, 3


def philox(key, n, first=0, high=0):
    """[n,4] words for counters first .. first + n - 1."""
    at = np.arange(first, first + n, dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    c = [at & mask, at >> np.uint64(32), np.full(n, high & 0xFFFFFFFF, np.uint64), np.full(n, high >> 32, np.uint64)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & mask, (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, -1)


def words(key, n, first=0):
    r = philox(key, n, first)
    return r[:, 1] << np.uint64(32) | r[:, 0]


class Numbers:
    def __init__(self, family):
        self.key = int(words(xxhash.xxh3_64_intdigest(family.encode(), SEED), 1, ITEM)[0])

    def uniform(self, n, first=0):
        return (words(self.key, n, first) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, n, first=0):
        r = philox(self.key, n, first)
        u = ((r[:, 1] << np.uint64(32) | r[:, 0]) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-53
        v = ((r[:, 3] << np.uint64(32) | r[:, 2]) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)

    def below(self, i, n):
        return int(words(self.key, 1, i)[0]) * n >> 64        # n is a power of two wherever this is used: nothing is rejected


def gauss(x, sigma, **more):
    return gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode="nearest", truncate=4.0, **more)


def convert_trail(x, radius, sigma, angle):
    """x [h,w,c] or [h,w] of bytes."""
    with tempfile.TemporaryDirectory() as d:
        Image.fromarray(x).save(d + "/in.png")
        subprocess.run(["convert", d + "/in.png", "-motion-blur", f"{radius}x{sigma}{angle:+.17g}", d + "/out.png"], check=True)
        return np.asarray(Image.open(d + "/out.png").convert("RGB" if x.ndim == 3 else "L"))


def clipped_zoom(img, factor):
    h = img.shape[0]
    ch = int(np.ceil(h / factor))
    top = (h - ch) // 2
    img = zoom(img[top : top + ch, top : top + ch], (factor, factor, 1), order=1)
    trim = (img.shape[0] - h) // 2
    return img[trim : trim + h, trim : trim + h]


def gaussian_noise(x, c, r):
    return x + c[0] * r.normal(x.size).reshape(planes(x).shape).transpose(1, 2, 0)


def speckle_noise(x, c, r):
    return x + x * c[0] * r.normal(x.size).reshape(planes(x).shape).transpose(1, 2, 0)


def shot_noise(x, c, r):
    u = r.uniform(x.size).reshape(planes(x).shape).transpose(1, 2, 0)
    return poisson.ppf(np.maximum(u, 1e-300), x * c[0]).clip(0) / c[0]


def impulse_noise(x, c, r):
    u = r.uniform(2 * x.size)
    hit, white = u[0::2].reshape(planes(x).shape).transpose(1, 2, 0), u[1::2].reshape(planes(x).shape).transpose(1, 2, 0)
    return np.where(hit < c[0], np.where(white < 0.5, 1.0, 0.0), x)


def gaussian_blur(x, c, r):
    return gauss(x, c[0])


def glass_blur(x, c, r):
    n, reach, drawn = x.shape[0], int(c[1]), 0
    y = np.uint8(gauss(x, c[0]) * 255 + 1e-4)
    for _ in range(int(c[2])):
        for h in range(n - reach, reach, -1):
            for w in range(n - reach, reach, -1):
                dx, dy = r.below(drawn, 2 * reach) - reach, r.below(drawn + 1, 2 * reach) - reach
                drawn += 2
                y[h, w], y[h + dy, w + dx] = y[h + dy, w + dx], y[h, w]
    return gauss(y / 255.0, c[0])


def defocus_blur(x, c, r):
    at = np.arange(-8, 9)
    gx, gy = np.meshgrid(at, at)
    disk = np.array((gx**2 + gy**2) <= c[0] ** 2, dtype=np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), ksize=(3, 3), sigmaX=c[1])
    return np.stack([cv2.filter2D(x[:, :, d], -1, kernel) for d in range(x.shape[2])], -1)


def motion_blur(x, c, r):
    y = np.uint8(np.rint(x * 255))
    return (convert_trail(y if y.shape[2] == 3 else y[:, :, 0], c[0], c[1], -45 + 90 * r.uniform(1)[0]) / 255.0).reshape(x.shape)


def zoom_blur(x, c, r):
    out = np.zeros_like(x)
    steps = 1 + np.arange(round((c[0] - 1) * 100)) / 100
    for factor in steps:
        out += clipped_zoom(x, factor)
    return (x + out) / (len(steps) + 1)


def snow(x, c, r):
    n = x.shape[0]
    layer = (c[0] + c[1] * r.normal(n * n)).reshape(n, n, 1)
    layer = clipped_zoom(layer, c[2]).squeeze(-1)
    layer[layer < c[3]] = 0
    layer = np.uint8(np.clip(layer, 0, 1) * 255 + 1e-4)
    layer = convert_trail(layer, c[4], c[5], -135 + 90 * r.uniform(1, n * n + 1)[0])[..., np.newaxis] / 255.0
    grey = (x @ [0.299, 0.587, 0.114] if x.shape[2] == 3 else x[:, :, 0])[..., np.newaxis]
    x = c[6] * x + (1 - c[6]) * np.maximum(x, grey * 1.5 + 0.5)
    return x + layer + np.rot90(layer, k=2)


def plasma(n, decay, r):
    m, wibble, step, drawn = np.zeros((n, n)), 100.0, n, 0
    while step >= 2:
        half = step // 2
        corner = m[0:n:step, 0:n:step]
        total = corner + np.roll(corner, -1, axis=0)
        total = total + np.roll(total, -1, axis=1)
        u = r.uniform(total.size, drawn).reshape(total.shape)
        drawn += total.size
        m[half:n:step, half:n:step] = total / 4 + wibble * wibble * (2 * u - 1)
        # rows of the grid of half steps in their order, as the numbers are drawn
        for row in range(0, n, half):
            for column in range(half if row % step == 0 else 0, n, step):
                four = m[(row + half) % n, column] + m[row - half, column] + m[row, (column + half) % n] + m[row, column - half]
                m[row, column] = four / 4 + wibble * wibble * (2 * r.uniform(1, drawn)[0] - 1)
                drawn += 1
        step, wibble = half, wibble / decay
    m -= m.min()
    return m / m.max()


def fog(x, c, r):
    n, most = x.shape[0], x.max()
    size = 8
    while size < n:
        size *= 2
    return (x + c[0] * plasma(size, c[1], r)[:n, :n, np.newaxis]) * most / (most + c[0])


def contrast(x, c, r):
    means = np.mean(x, axis=(0, 1), keepdims=True)
    return (x - means) * c[0] + means


def by_hsv(x, channel, change):
    y = skimage.color.rgb2hsv(x if x.shape[2] == 3 else np.repeat(x, 3, 2))
    y[:, :, channel] = np.clip(change(y[:, :, channel]), 0, 1)
    return skimage.color.hsv2rgb(y)[:, :, : x.shape[2]]


def brightness(x, c, r):
    return by_hsv(x, 2, lambda v: v + c[0])


def saturate(x, c, r):
    return by_hsv(x, 1, lambda s: s * c[0] + c[1])


def elastic(x, c, r):
    n = x.shape[0]
    centre, arm = np.float32((n, n)) // 2, n // 3
    pts1 = np.float32([centre + arm, [centre[0] + arm, centre[1] - arm], centre - arm])
    pts2 = pts1 + (n * c[2] * (2 * r.uniform(6) - 1)).reshape(3, 2).astype(np.float32)
    # cv2.warpAffine rounds places to 1/32; here they are exact: the same map through map_coordinates
    m = np.vstack([cv2.getAffineTransform(pts1, pts2), [0, 0, 1]])
    back = np.linalg.inv(m)
    gx, gy = np.meshgrid(np.arange(n), np.arange(n))
    at_x, at_y = back[0, 0] * gx + back[0, 1] * gy + back[0, 2], back[1, 0] * gx + back[1, 1] * gy + back[1, 2]
    y = np.stack([map_coordinates(x[:, :, d], [at_y, at_x], order=1, mode="mirror") for d in range(x.shape[2])], -1)
    move = [gaussian_filter((2 * r.uniform(n * n, 6 + k * n * n) - 1).reshape(n, n), n * c[1], mode="reflect", truncate=3) * n * c[0] for k in range(2)]
    return np.stack([map_coordinates(y[:, :, d], [gy + move[1], gx + move[0]], order=1, mode="reflect") for d in range(x.shape[2])], -1)


def as_image(x):
    y = np.uint8(np.rint(x * 255))
    return Image.fromarray(y if y.shape[2] == 3 else y[:, :, 0])


def pixelate(x, c, r):
    n = x.shape[0]
    y = as_image(x).resize((int(n * c[0]), int(n * c[0])), Image.BOX).resize((n, n), Image.BOX)
    return np.asarray(y).reshape(x.shape) / 255.0


def jpeg(x, c, r):
    file = io.BytesIO()
    as_image(x).save(file, "JPEG", quality=int(c[0]))
    return np.asarray(Image.open(file)).reshape(x.shape) / 255.0


FAMILIES = {
    "gaussian-noise": (gaussian_noise, [[0.04], [0.06], [0.08], [0.09], [0.10]]),
    "shot-noise": (shot_noise, [[500], [250], [100], [75], [50]]),
    "impulse-noise": (impulse_noise, [[0.01], [0.02], [0.03], [0.05], [0.07]]),
    "speckle-noise": (speckle_noise, [[0.06], [0.1], [0.12], [0.16], [0.2]]),
    "gaussian-blur": (gaussian_blur, [[0.4], [0.6], [0.7], [0.8], [1]]),
    "glass-blur": (glass_blur, [[0.05, 1, 1], [0.25, 1, 1], [0.4, 1, 1], [0.25, 1, 2], [0.4, 1, 2]]),
    "defocus-blur": (defocus_blur, [[0.3, 0.4], [0.4, 0.5], [0.5, 0.6], [1, 0.2], [1.5, 0.1]]),
    "motion-blur": (motion_blur, [[6, 1], [6, 1.5], [6, 2], [8, 2], [9, 2.5]]),
    "zoom-blur": (zoom_blur, [[1.06], [1.11], [1.16], [1.21], [1.26]]),
    "snow": (snow, [[0.1, 0.2, 1, 0.6, 8, 3, 0.95], [0.1, 0.2, 1, 0.5, 10, 4, 0.9], [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
                    [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85], [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8]]),
    "fog": (fog, [[0.2, 3], [0.5, 3], [0.75, 2.5], [1, 2], [1.5, 1.75]]),
    "brightness": (brightness, [[0.05], [0.1], [0.15], [0.2], [0.3]]),
    "contrast": (contrast, [[0.75], [0.5], [0.4], [0.3], [0.15]]),
    "saturate": (saturate, [[0.3, 0], [0.1, 0], [1.5, 0], [2, 0.1], [2.5, 0.2]]),
    "elastic": (elastic, [[0, 0, 0.08], [0.05, 0.2, 0.07], [0.08, 0.06, 0.06], [0.1, 0.04, 0.05], [0.1, 0.03, 0.03]]),
    "pixelate": (pixelate, [[0.95], [0.9], [0.85], [0.75], [0.65]]),
    "jpeg": (jpeg, [[80], [65], [58], [50], [40]]),
}


def planes(x):
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def picture(side, channels):
    y, x = np.mgrid[0:side, 0:side]
    c = [127 + 120 * np.sin(x / 5), 127 + 120 * np.cos(y / 4), 255.0 * (x + y > side)]
    return np.uint8(np.stack(c[:channels] if channels == 3 else [(c[0] + c[2]) / 2], -1))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of corruptions.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden/corrupt"))
    out = arg.parse_args().out
    os.makedirs(out, exist_ok=True)
    magick = subprocess.run(["convert", "-version"], capture_output=True, text=True).stdout.split("\n")[0]
    with open(out + "/images.bin", "wb") as images, open(out + "/index.txt", "w") as index:
        index.write(f"# numpy {np.__version__}, scipy {scipy.__version__}, scikit-image {skimage.__version__}, cv2 {cv2.__version__}, Pillow {PIL.__version__}, {magick}\n")
        for side, channels, strengths in ((32, 3, (1, 3, 5)), (28, 1, (4,))):
            x = picture(side, channels)

            def write(name, strength, y):
                images.write(planes(y).tobytes())
                index.write(f"{name} {strength} {channels} {side}\n")

            write("in", 0, x)
            for name, (how, c) in FAMILIES.items():
                for s in strengths:
                    if name == "saturate" and channels == 1:
                        continue
                    y = how(x / 255.0, c[s - 1], Numbers(name))
                    write(name, s, np.uint8(np.clip(y, 0, 1) * 255 + 1e-4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
