"""Sales orders with items, partners and texts; the internal number range."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime
from sap_sandbox.tables import ExactDecimal

revision = "0001"
down_revision = None


def _text(name: str, size: int) -> "sa.Column[str]":
    return sa.Column(name, sa.String(size), nullable=False)


def _parent() -> "sa.Column[str]":
    return sa.Column("SalesOrder", sa.String(10), sa.ForeignKey("sales_order.SalesOrder"), primary_key=True)


def upgrade() -> None:
    """Create all tables."""
    _create_sales_order()
    op.create_table(
        "sales_order_item",
        _parent(),
        sa.Column("SalesOrderItem", sa.String(6), primary_key=True),
        _text("Material", 40),
        sa.Column("RequestedQuantity", ExactDecimal, nullable=False),
        _text("RequestedQuantityUnit", 3),
        _text("SalesOrderItemCategory", 4),
        _text("PurchaseOrderByCustomer", 35),
        _text("ExternalItemID", 40),
        _text("ProductionPlant", 4),
        sa.Column("NetAmount", ExactDecimal, nullable=False),
    )
    op.create_table(
        "sales_order_partner",
        _parent(),
        sa.Column("PartnerFunction", sa.String(2), primary_key=True),
        _text("Customer", 10),
    )
    op.create_table(
        "sales_order_text",
        _parent(),
        sa.Column("Language", sa.String(2), primary_key=True),
        sa.Column("LongTextID", sa.String(4), primary_key=True),
        sa.Column("LongText", sa.Text, nullable=False),
    )
    op.create_table(
        "number_range",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("last_number", sa.BigInteger, nullable=False),
    )


def _create_sales_order() -> None:
    op.create_table(
        "sales_order",
        sa.Column("SalesOrder", sa.String(10), primary_key=True),
        _text("SalesOrderType", 4),
        _text("SalesOrganization", 4),
        _text("DistributionChannel", 2),
        _text("OrganizationDivision", 2),
        _text("SoldToParty", 10),
        _text("PurchaseOrderByCustomer", 35),
        _text("PurchaseOrderByShipToParty", 35),
        _text("CustomerPurchaseOrderType", 4),
        sa.Column("CustomerPurchaseOrderDate", sa.DateTime),
        sa.Column("SalesOrderDate", sa.DateTime),
        sa.Column("PricingDate", sa.DateTime),
        sa.Column("RequestedDeliveryDate", sa.DateTime),
        _text("TransactionCurrency", 5),
        _text("SDDocumentReason", 3),
        _text("DeliveryBlockReason", 2),
        sa.Column("CompleteDeliveryIsDefined", sa.Boolean, nullable=False),
        sa.Column("CreationDate", sa.DateTime),
        _text("CreatedByUser", 12),
        sa.Column("LastChangeDateTime", UtcDateTime),
        sa.Column("TotalNetAmount", ExactDecimal, nullable=False),
        _text("OverallSDProcessStatus", 1),
        _text("TotalCreditCheckStatus", 1),
        _text("ExternalDocumentID", 40),
        _text("SenderBusinessSystemName", 60),
    )
    op.create_index("sales_order_reference", "sales_order", ["PurchaseOrderByCustomer"])
