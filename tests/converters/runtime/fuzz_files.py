"""Runs damaged .tflite files; a process that dies says nothing.

    python fuzz_files.py FILES COUNT SEED

FILES is a pickle of files and inputs. Each damaged file must run or be refused with a
ValueError.
"""

import pickle
import random
import resource
import sys

import numpy as np

import converters

MOST_BYTES = 8 * 2**30


def damaged(content, generator):
    """Returns the content with a few bytes changed, or cut off."""
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 5, 20])):
        place = generator.randrange(len(changed))
        changed[place] = generator.choice([0, 1, 255, 128, generator.randrange(256)])
    if generator.random() < 0.05:
        del changed[generator.randrange(len(changed)) :]
    return bytes(changed)


def main():
    """Runs them."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with open(sys.argv[1], "rb") as stream:
        files = pickle.load(stream)
    generator = random.Random(int(sys.argv[3]))
    ran = refused = 0
    for _ in range(int(sys.argv[2])):
        content, array = generator.choice(files)
        broken = damaged(content, generator)
        with open(sys.argv[1] + ".now", "wb") as stream:
            stream.write(broken)
        try:
            interpreter = converters.Interpreter(broken, backend="delegate")
            given = [np.zeros(i.shape, i.dtype) for i in interpreter.inputs]
            if len(given) == 1 and given[0].shape == array.shape:
                given = [array.astype(given[0].dtype)]
            interpreter.run_once(given)
            ran += 1
        except ValueError:
            refused += 1
    print(f"{ran} ran, {refused} were refused")


if __name__ == "__main__":
    main()
