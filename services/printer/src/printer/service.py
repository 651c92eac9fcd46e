"""The department: prints a packing slip for every order."""

from eventbus.contract import Event, OrderCreated
from eventbus.department import Outcome, Results, every, subscribe
from eventbus.department.ledger import Ledger

from printer.desk import Desk
from printer.retention import Retention
from printer.settings import PrinterSettings
from printer.tables import ledger
from printer.warehouse_printer import PackingSlips, WarehousePrinter
from printer.warehouses import WarehouseDatabase


class PrinterService:
    """One warehouse's printer."""

    name = "printer"
    settings_class = PrinterSettings

    db = WarehouseDatabase("printer", Ledger(ledger))
    results = Results()
    slips = PackingSlips()
    printer = WarehousePrinter()
    retention = Retention()

    @subscribe("order.created.*")
    def print_packing_slip(self, event: Event[OrderCreated]) -> Outcome:
        outcome: Outcome = self.printer.print_once(event, self._desk)
        return outcome

    @every(seconds=2)
    def follow(self) -> None:
        self.printer.follow(self._desk)

    @every(seconds=600)
    def forget_old_slips(self) -> None:
        self.retention.sweep(self.db)

    @property
    def _desk(self) -> Desk:
        return Desk(self.db, self.slips, self.results)
