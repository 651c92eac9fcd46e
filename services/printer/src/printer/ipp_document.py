"""A document whose size, as a printer tells it, proves that it arrived whole."""

K = 1024


def padded(pdf: bytes) -> bytes:
    """The PDF, with blanks before its last lines so that it is one byte longer than a whole number of kilobytes.

    A printer may count a job's size (`job-k-octets`, RFC 8011 section 5.3.17.1: in units of 1024, rounded up). Of a
    document that was cut off anywhere it then counts at least one less.
    """
    end = pdf.rindex(b"startxref")  # white space may stand there (ISO 32000-1, 7.2.2), and moves no object
    return pdf[:end] + b"\n" * ((1 - len(pdf)) % K) + pdf[end:]


def k_octets(document: bytes) -> int:
    """What a printer that has it whole counts."""
    return -(-len(document) // K)
