"""Write a network as one ONNX file, which other programs and languages can run without TensorFlow."""

from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.files import atomic_write


def main(model: Path, onnx_file: Path) -> None:
    # Imported here, since the packages that it needs are optional.
    from stages.lib.onnx_export.model import export_model

    content = export_model(model)
    with atomic_write(onnx_file) as temporary:
        temporary.write_bytes(content)
    print(f"{len(content):,} bytes, written to {onnx_file}")


if __name__ == "__main__":
    run(main)
