"""The order bus: what gateway, relay, departments and operators share.

Importing this package imports nothing else. `eventbus.contract` is the wire contract (pydantic only),
`eventbus.topology` the broker's objects as tables, `eventbus.department` the runtime of departments on nameko,
`eventbus.operator` the `bus` command line, `eventbus.testing` what authors of departments need for their tests.
"""
