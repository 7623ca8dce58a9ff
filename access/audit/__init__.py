"""The audit log: who did what, when and from where. `record` is called in the transaction of each act."""

from access.audit.acts import Act as Act
from access.audit.acts import right_part as right_part
from access.audit.recording import Subject as Subject
from access.audit.recording import acting_for_provider as acting_for_provider
from access.audit.recording import record as record
from access.audit.recording import record_each as record_each
from access.audit.recording import record_read as record_read
