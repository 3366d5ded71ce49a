"""For requests: an `HTTPAdapter` whose pools connect over a stack."""

from __future__ import annotations

import copy
import socket
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import requests.adapters
import requests.exceptions
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

if TYPE_CHECKING:
    from usertcp._stack import Stack


class _OverStack:
    """What the connections of urllib3 do otherwise: they connect by `Stack.create_connection`."""

    stack: ClassVar[Stack]

    def _new_conn(self) -> socket.socket:
        return _connected(self.stack, self)


class _Plain(_OverStack, urllib3.connection.HTTPConnection):
    """Speaks HTTP."""


class _Tls(_OverStack, urllib3.connection.HTTPSConnection):
    """Speaks HTTP in TLS."""


def _connected(stack: Stack, connection: Any) -> socket.socket:
    """A socket for a connection of urllib3, with the exceptions that it expects."""
    limit = connection.timeout
    try:
        sock = stack.create_connection(
            (connection._dns_host.strip("[]"), connection.port),
            limit if limit is None or isinstance(limit, (int, float)) else socket.getdefaulttimeout(),
            connection.source_address,
        )
    except socket.gaierror as error:
        raise urllib3.exceptions.NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        text = f"Connection to {connection.host} timed out. (connect timeout={limit})"
        raise urllib3.exceptions.ConnectTimeoutError(connection, text) from error
    except OSError as error:
        text = f"Failed to establish a new connection: {error}"
        raise urllib3.exceptions.NewConnectionError(connection, text) from error
    try:
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
    except BaseException:
        sock.close()
        raise
    sys.audit("http.client.connect", connection, connection.host, connection.port)
    return sock


class _Patient(urllib3.Retry):
    """Waits before another attempt by the clock of a stack."""

    stack: ClassVar[Stack]

    def sleep_for_retry(self, response: Any) -> bool:
        """Waits for as long as the server asks for, if it does."""
        seconds = self.get_retry_after(response)
        if seconds:
            self.stack._sleep(seconds)
        return bool(seconds)

    def _sleep_backoff(self) -> None:
        seconds = self.get_backoff_time()
        if seconds > 0:
            self.stack._sleep(seconds)


def _patient(retries: urllib3.Retry, stack: Stack) -> urllib3.Retry:
    """The same retries, of a class of ours."""
    kind = type(retries)
    bases = (_Patient,) if kind is urllib3.Retry else (kind, _Patient)
    made = copy.copy(retries)
    made.__class__ = type(kind.__name__, bases, {"stack": stack})
    return made


class Adapter(requests.adapters.HTTPAdapter):
    """An `HTTPAdapter` over a stack; `Stack.requests_adapter` makes it."""

    def __init__(self, stack: Stack, **options: Any) -> None:
        self._stack = stack
        super().__init__(**options)

    @property
    def max_retries(self) -> urllib3.Retry:
        """How often it tries again, and after how long."""
        return self._retries

    @max_retries.setter
    def max_retries(self, retries: urllib3.Retry) -> None:
        self._retries = _patient(retries, self._stack)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Makes the pools for hosts that are asked without a proxy."""
        super().init_poolmanager(*arguments, **options)
        self._over(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """The pools for hosts behind a proxy."""
        if str(proxy).lower().startswith("socks"):
            raise requests.exceptions.InvalidSchema("there are no SOCKS proxies over a stack")
        manager = super().proxy_manager_for(proxy, **options)
        self._over(manager)
        return manager

    def _over(self, manager: urllib3.PoolManager) -> None:
        """Has the pools of a manager connect over the stack."""
        manager.pool_classes_by_scheme = {
            "http": _pools(urllib3.connectionpool.HTTPConnectionPool, _Plain, self._stack),
            "https": _pools(urllib3.connectionpool.HTTPSConnectionPool, _Tls, self._stack),
        }

    def __reduce__(self) -> Any:
        raise TypeError("an adapter of a stack cannot be pickled")


def _pools(base: type[Any], connection: type[Any], stack: Stack) -> type[Any]:
    """A class of pools, whose connections are of a class of ours."""

    made = type(connection.__name__, (connection,), {"stack": stack})
    return type(base.__name__, (base,), {"ConnectionCls": made})
