"""What the service says about itself: its metadata (EDMX) and its list of sets. Both are made from the schema."""

from xml.etree import ElementTree as ET

from sap_sandbox.schema import ENTITY_TYPES, NAMESPACE, SALES_ORDER, SCALE, Edm, EntityType, Property

_EDMX = "http://schemas.microsoft.com/ado/2007/06/edmx"
_EDM = "http://schemas.microsoft.com/ado/2008/09/edm"
_M = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
_SAP = "http://www.sap.com/Protocols/SAPData"
_APP = "http://www.w3.org/2007/app"
_ATOM = "http://www.w3.org/2005/Atom"


def edmx() -> bytes:
    """The `$metadata` document: only the types that the sandbox knows."""
    for prefix, uri in (("edmx", _EDMX), ("m", _M), ("sap", _SAP), ("", _EDM)):
        ET.register_namespace(prefix, uri)
    root = ET.Element(f"{{{_EDMX}}}Edmx", Version="1.0")
    services = ET.SubElement(root, f"{{{_EDMX}}}DataServices", {f"{{{_M}}}DataServiceVersion": "2.0"})
    schema = ET.SubElement(services, f"{{{_EDM}}}Schema", Namespace=NAMESPACE)
    for entity in ENTITY_TYPES.values():
        _entity_type(schema, entity)
    for navigation, set_name in SALES_ORDER.navigations.items():
        association = ET.SubElement(schema, f"{{{_EDM}}}Association", Name=_association(navigation))
        _end(association, SALES_ORDER, "1")
        _end(association, ENTITY_TYPES[set_name], "*")
    _container(schema)
    return _written(root)


def service_document() -> bytes:
    """The list of sets as AtomPub."""
    ET.register_namespace("app", _APP)
    ET.register_namespace("atom", _ATOM)
    root = ET.Element(f"{{{_APP}}}service")
    workspace = ET.SubElement(root, f"{{{_APP}}}workspace")
    ET.SubElement(workspace, f"{{{_ATOM}}}title").text = "Data"
    for set_name in ENTITY_TYPES:
        collection = ET.SubElement(workspace, f"{{{_APP}}}collection", href=set_name)
        ET.SubElement(collection, f"{{{_ATOM}}}title").text = set_name
    return _written(root)


def _written(root: ET.Element) -> bytes:
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _entity_type(schema: ET.Element, entity: EntityType) -> None:
    element = ET.SubElement(schema, f"{{{_EDM}}}EntityType", Name=entity.type_name)
    key = ET.SubElement(element, f"{{{_EDM}}}Key")
    for name in entity.keys:
        ET.SubElement(key, f"{{{_EDM}}}PropertyRef", Name=name)
    for prop in entity.properties:
        ET.SubElement(element, f"{{{_EDM}}}Property", _property(prop, is_key=prop.name in entity.keys))
    for navigation, set_name in entity.navigations.items():
        ends = {"FromRole": entity.type_name, "ToRole": ENTITY_TYPES[set_name].type_name}
        relationship = f"{NAMESPACE}.{_association(navigation)}"
        ET.SubElement(element, f"{{{_EDM}}}NavigationProperty", ends, Name=navigation, Relationship=relationship)


def _property(prop: Property, *, is_key: bool) -> dict[str, str]:
    attributes = {"Name": prop.name, "Type": str(prop.edm)}
    if is_key:
        attributes["Nullable"] = "false"
    if prop.edm is Edm.DECIMAL:
        attributes |= {"Precision": str(prop.size), "Scale": str(SCALE)}
    elif prop.size:
        attributes["MaxLength"] = str(prop.size)
    if prop.edm is Edm.DATE:
        attributes |= {"Precision": "0", f"{{{_SAP}}}display-format": "Date"}
    if prop.upper:
        attributes[f"{{{_SAP}}}display-format"] = "UpperCase"
    if not prop.creatable:
        attributes[f"{{{_SAP}}}creatable"] = "false"
    return attributes


def _association(navigation: str) -> str:
    return f"assoc_{SALES_ORDER.set_name}_{navigation}"


def _end(association: ET.Element, entity: EntityType, multiplicity: str) -> None:
    type_ = f"{NAMESPACE}.{entity.type_name}"
    ET.SubElement(association, f"{{{_EDM}}}End", Type=type_, Multiplicity=multiplicity, Role=entity.type_name)


def _container(schema: ET.Element) -> None:
    container = ET.SubElement(
        schema,
        f"{{{_EDM}}}EntityContainer",
        {f"{{{_M}}}IsDefaultEntityContainer": "true"},
        Name=f"{NAMESPACE}_Entities",
    )
    for entity in ENTITY_TYPES.values():
        type_ = f"{NAMESPACE}.{entity.type_name}"
        ET.SubElement(container, f"{{{_EDM}}}EntitySet", Name=entity.set_name, EntityType=type_)
    for navigation, set_name in SALES_ORDER.navigations.items():
        name = _association(navigation)
        association_set = ET.SubElement(
            container, f"{{{_EDM}}}AssociationSet", Name=f"{name}_set", Association=f"{NAMESPACE}.{name}"
        )
        for entity in (SALES_ORDER, ENTITY_TYPES[set_name]):
            ET.SubElement(association_set, f"{{{_EDM}}}End", EntitySet=entity.set_name, Role=entity.type_name)
