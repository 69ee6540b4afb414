#!/usr/bin/env python3
"""Writes tests/golden/images: small PNG and JPEG files, and what Pillow makes of them.

    tools/golden/images.py [--out tests/golden/images]

  NAME.png, NAME.jpg
  golden.safetensors   NAME.grey, NAME.rgb        I32 [height,width], [3,height,width]   decoded
                       NAME.stretch, NAME.crop    I32 [3,SIZE,SIZE]                      fitted with Pillow's BILINEAR"""
import argparse
import json
import os
import struct

import numpy as np
from PIL import Image

SIZE = 12


def save_safetensors(path, tensors):
    """As in models.py, which needs torch."""
    header, at = {}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": "I32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(a).tobytes() for a in tensors.values()))


def picture(width, height):
    """Smooth, so that JPEG keeps it, with an edge."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([127 + 120 * np.sin(x / 5), 127 + 120 * np.cos(y / 4), 255.0 * (x + y > (width + height) / 2)], -1)
    return Image.fromarray(rgb.astype(np.uint8), "RGB")


def planes(image):
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1)).astype(np.int32)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of images.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden/images"))
    out = arg.parse_args().out
    os.makedirs(out, exist_ok=True)
    wide, tall = picture(31, 17), picture(9, 25)
    alpha = wide.copy()
    alpha.putalpha(Image.fromarray(np.full((17, 31), 100, np.uint8), "L"))
    wide.save(f"{out}/rgb.png")
    tall.convert("L").save(f"{out}/grey.png")
    wide.quantize(16).save(f"{out}/palette.png")
    alpha.save(f"{out}/alpha.png")
    wide.save(f"{out}/rgb.jpg", quality=95, subsampling=0)
    tall.save(f"{out}/progressive.jpg", quality=90, subsampling=0, progressive=True)
    picture(16, 16).convert("L").save(f"{out}/grey.jpg", quality=90)
    golden = {}
    for name in sorted(os.listdir(out)):
        if not name.endswith((".png", ".jpg")):
            continue
        image = Image.open(f"{out}/{name}")
        rgb = image.convert("RGB")
        golden[name + ".rgb"] = planes(rgb)
        golden[name + ".grey"] = np.asarray(rgb.convert("L")).astype(np.int32)
        golden[name + ".stretch"] = planes(rgb.resize((SIZE, SIZE), Image.BILINEAR))
        least = min(rgb.size)
        box = ((rgb.width - least) / 2, (rgb.height - least) / 2, (rgb.width + least) / 2, (rgb.height + least) / 2)
        golden[name + ".crop"] = planes(rgb.resize((SIZE, SIZE), Image.BILINEAR, box=box))
    save_safetensors(f"{out}/golden.safetensors", golden)
    print(f"{len(golden) // 4} images")


if __name__ == "__main__":
    main()
