"""How clients hear of an execution's progress: notifications, streams, and the consumer that serves them."""
