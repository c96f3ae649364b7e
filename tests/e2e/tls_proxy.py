"""A proxy of this machine that ends TLS itself, in the place of whoever is asked for."""
import socket
import ssl
import threading


class TlsProxy:
    """Listens; `one(conn)` of whoever inherits has each connection, in a thread of its own. The folder holds net.pem and net.key."""

    def __init__(self, folder):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/net.pem", f"{folder}/net.key")
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    def one(self, conn):
        raise NotImplementedError

    @staticmethod
    def head(conn):
        """The words of the first line; none when the other side has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = conn.recv(4096)
            if not more:
                return []
            data += more
        return data.split(b"\r\n")[0].decode().split()

    def stop(self):
        self.listener.close()
