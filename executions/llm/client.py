"""placeholder for bootstrapping"""
def model_client():
    raise SystemExit
