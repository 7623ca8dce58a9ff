"""The audit log: who did what, when and from where. `record` is called in the transaction of each act."""

from access.audit.acts import Act as Act
from access.audit.recording import Subject as Subject
from access.audit.recording import record as record
from access.audit.recording import record_each as record_each
from access.audit.recording import record_read as record_read
