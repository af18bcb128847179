"""Work on images in several threads. The results have the same bits for any number of threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

#: With fewer pixels than this, starting threads takes more time than the threads save.
_WORTH_THREADS = 2**16


def share_images(work: Callable[[Iterator[int]], None], shares: Sequence[int], pixels: int) -> None:
    """Divide images among as many threads as torch has.

    In each of these threads, torch computes with only one thread. Otherwise torch would divide a
    Fourier transform among its own threads, and the last bit would depend on their number.

    Args:
        work: Called once in every thread, with an iterator over the numbers of the shares of work.
            All threads use the same iterator, so that each share is given to only one thread.
        shares: The numbers of the shares of work.
        pixels: The number of pixels of all images. If this number is small, only one thread works.
    """
    threads, numbers = torch.get_num_threads(), iter(shares)
    others = min(threads, len(shares)) - 1 if pixels >= _WORTH_THREADS else 0
    try:
        torch.set_num_threads(1)
        if others < 1:
            work(numbers)
            return
        with ThreadPoolExecutor(others, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(work, numbers) for _ in range(others)]
            work(numbers)
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(threads)
