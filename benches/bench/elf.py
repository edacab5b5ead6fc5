"""As much of ELF as it takes to see whether a program is static and stripped."""

import struct
from pathlib import Path

PT_INTERP, SHT_SYMTAB = 3, 2


def is_static_and_stripped(path: Path) -> bool:
    """No dynamic linker is asked for and no symbol table is left (64-bit, little-endian)."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    segments, sections = struct.unpack_from("<QQ", data, 32)
    segment_size, segment_count, section_size, section_count = struct.unpack_from("<HHHH", data, 54)
    kinds = [struct.unpack_from("<I", data, segments + i * segment_size)[0] for i in range(segment_count)]
    tables = [struct.unpack_from("<I", data, sections + i * section_size + 4)[0] for i in range(section_count)]
    return PT_INTERP not in kinds and SHT_SYMTAB not in tables
