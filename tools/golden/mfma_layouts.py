#!/usr/bin/env python3
"""Layouts of gfx942's dense MFMA instructions, as AMD's matrix instruction calculator gives them.

  mfma_layouts.py matrix_calculator.py > tests/golden/mfma_layouts.txt

The calculator: github.com/ROCm/amd_matrix_instruction_calculator (needs tabulate).  A line: instruction, matrix, then for each lane its
elements in the order of registers and of the parts of a register, as block.row.column; of A row.k, of B k.column.
"""
import re
import subprocess
import sys

tool = sys.argv[1]


def calculator(*args):
    return subprocess.run([sys.executable, tool, '-a', 'cdna3', *args], capture_output=True, text=True, check=True).stdout


names = [n for n in calculator('--list-instructions').split() if n.startswith('v_mfma')]
for name in names:
    for matrix in 'ABD':
        lanes = []
        for line in calculator('-i', name, '-M', '-' + matrix, '--csv').splitlines():
            cells = line.split(',')
            if not cells[0].isdigit():
                continue
            places = []
            for cell in cells[1:]:
                m = re.match(r'[ABD]\[(\d+)\]\[(\d+)\](?:\.B(\d+))?', cell.strip())
                if m:
                    places.append(f'{m.group(3) or 0}.{m.group(1)}.{m.group(2)}')
                elif cell.strip():
                    sys.exit(f'{name} {matrix}: {cell}')
            lanes.append(' '.join(places))
        assert len(lanes) == 64, (name, matrix, len(lanes))
        print(name, matrix, ','.join(lanes), sep='|')
