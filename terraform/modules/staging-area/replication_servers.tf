resource "aws_security_group" "replication" {
  #checkov:skip=CKV2_AWS_5: DRS attaches it to each replication server, as the replication template tells it to; checkov knows no DRS.
  description = "DRS replication servers: data from source servers in, HTTPS out."
  name        = "drs-replication-servers"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "replication" {
  for_each = var.source_cidrs

  cidr_ipv4         = each.value
  description       = "Replicated data from source servers."
  from_port         = 1500
  ip_protocol       = "tcp"
  security_group_id = aws_security_group.replication.id
  to_port           = 1500
}

# The network has no way out but the endpoints; S3's gateway has no fixed addresses to name here.
resource "aws_vpc_security_group_egress_rule" "replication" {
  cidr_ipv4         = "0.0.0.0/0"
  description       = "HTTPS to the DRS, EC2 and S3 endpoints."
  from_port         = 443
  ip_protocol       = "tcp"
  security_group_id = aws_security_group.replication.id
  to_port           = 443
}
