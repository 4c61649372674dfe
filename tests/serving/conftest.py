import subprocess

import pytest


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and what it signed for a server and for a client."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        command = ["openssl", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        *("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem"),
        *("-subj", "/CN=authority", "-days", "2"),
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "names", "-CAcreateserial"),
        )
    return folder
