"""img2dataset, told to keep the bytes as they came; it resizes and encodes anew unless it is told so."""

from pathlib import Path

import img2dataset

from bench.assignment import Assignment, received


def main(assignment: Assignment) -> None:
    """Do the assignment."""
    urls = Path(assignment.folder) / "urls.txt"
    urls.write_text("".join(f"{assignment.url(number)}\n" for number in range(assignment.items)))
    img2dataset.download(
        url_list=str(urls),
        output_folder=f"{assignment.folder}/out",
        processes_count=1,
        thread_count=assignment.in_flight,
        number_sample_per_shard=1000,
        disable_all_reencoding=True,
        encode_format="png",
        encode_quality=9,
    )


if __name__ == "__main__":
    main(received())
