"""RabbitMQ's own command line against a private node, for what its management API does not offer."""

import os
import subprocess

from eventbus.operator.private_node import PrivateNode, find_server


def rabbitmqctl(node: PrivateNode, *arguments: str) -> str:
    """What the command printed. Takes a second or two.

    Raises:
        AssertionError: it failed. The message is what it printed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
    own = {
        "HOME": str(node.directory),  # where Erlang looks for the cookie
        "RABBITMQ_CTL_ERL_ARGS": f"-start_epmd false -dist_listen false -erl_epmd_port {node.distribution_port}",
    }
    names = ["--longnames"] if "." in node.name else []
    command = [str(find_server().parent / "rabbitmqctl"), "--silent", *names, "-n", node.name, *arguments]
    done = subprocess.run(command, env=kept | own, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout
